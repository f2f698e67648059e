"""Recognisers saved by transformers' ``save_pretrained``: Whisper, wav2vec 2.0 with CTC, and SpeechT5.

Only local folders with safetensors weights are read, no code from them runs, and nothing is fetched.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.errors import AudioError, DataError, SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Output, Request
from audiometry.models.adapters.checkpoints import architecture, checkpoint_files, load_network, read_json
from audiometry.models.adapters.common import (
    Recogniser,
    answer_one,
    check_at_least,
    fingerprint,
    needs_packages,
    shown_name,
    speech,
    text_output,
    thread_count,
)

__all__ = ["transformers_asr"]

VERSION = "transformers-asr 1"

PROCESSORS: Mapping[str, str] = {
    "WhisperForConditionalGeneration": "WhisperProcessor",
    "Wav2Vec2ForCTC": "Wav2Vec2Processor",
    "SpeechT5ForSpeechToText": "SpeechT5Processor",
}
"""The classes that are understood, and the class of each one's processor."""

Dtype = Literal["float32", "float16", "bfloat16"]
Samples: TypeAlias = NDArray[np.float32]
Clip: TypeAlias = tuple[Samples, str | None]
"""The sound and its language, where the request tells it."""


def check(*, path: str, dtype: Dtype = "float32", device: str = "cpu", threads: int = 0) -> None:  # noqa: ARG001
    """Check the settings and the folder without loading either it or torch.

    Raises SettingError for a folder that is not there, a class that is not understood, weights that are only pickled,
    or a malformed device; DataError for a file that is missing, malformed or cut off; UserError for a package that is
    not installed.
    """
    needs_packages("transformers-asr", "torch", ("torch", "transformers", "safetensors"))
    check_at_least("transformers-asr", "threads", threads, 0)
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise SettingError(f"model 'transformers-asr', setting 'device': {device!r} is not cpu, cuda, cuda:N or mps")
    folder = Path(path).expanduser()
    named = architecture(folder)
    if named not in PROCESSORS:
        raise SettingError(
            f"model 'transformers-asr': {folder} holds a {named}; it must be one of {', '.join(PROCESSORS)}"
        )
    for file in checkpoint_files(folder):
        if file.suffix == ".json":
            read_json(file)
    _check_processor(folder, named)


def _check_processor(folder: Path, named: str) -> None:
    if named == "SpeechT5ForSpeechToText":
        needs_packages("transformers-asr", "torch", ("sentencepiece",))
    wanted = (
        ("processor_config.json", "preprocessor_config.json"),
        ("spm_char.model",) if named == "SpeechT5ForSpeechToText" else ("tokenizer.json", "vocab.json"),
    )
    for choices in wanted:
        if not any((folder / name).is_file() for name in choices):
            raise DataError(
                f"model 'transformers-asr': {folder} has no {' or '.join(choices)}; save its processor there too: "
                "processor.save_pretrained(FOLDER)"
            )


@model("transformers-asr", abilities={"transcribe"}, check=check, needs="torch")
def transformers_asr(*, path: str, dtype: Dtype = "float32", device: str = "cpu", threads: int = 0) -> Recogniser:
    """A Whisper, wav2vec 2.0 CTC or SpeechT5 recogniser from a local save_pretrained folder."""
    import torch

    torch.set_num_threads(thread_count(threads))
    folder = Path(path).expanduser()
    loaded = _load(folder, dtype, device)
    settings = {"path": path, "dtype": dtype, "device": device}
    return Recogniser(
        name=shown_name("transformers-asr", transformers_asr, settings),
        fingerprint=fingerprint(
            VERSION,
            checkpoint_files(folder),
            settings={"dtype": dtype, "device": device},
            packages=("torch", "transformers", "tokenizers", "soxr"),
        ),
        answer=loaded.answer,
    )


@dataclass(frozen=True)
class _Loaded:
    """Network and processor, and the functions that their class needs.

    `decode` turns clips that may share a batch into texts; `group` names a clip's batch, or is None for one that must
    go alone.
    """

    network: Any
    processor: Any
    decode: Callable[[_Loaded, Sequence[Clip]], list[str]]
    group: Callable[[_Loaded, Clip], str | None]

    @property
    def rate(self) -> int:
        return int(self.processor.feature_extractor.sampling_rate)

    def answer(self, requests: Sequence[Request]) -> list[Output]:
        """Transcribe: clips that may be padded to one length together, the others alone."""
        outputs: dict[int, Output] = {}
        clips: dict[int, Clip] = {}
        for position, request in enumerate(requests):
            try:
                clips[position] = (speech(request, self.rate), request.language)
            except AudioError as error:
                outputs[position] = Output(status="error", error=str(error))
        for positions in self._groups(clips):
            outputs |= self._answer_group({position: clips[position] for position in positions})
        return [outputs[position] for position in range(len(requests))]

    def _groups(self, clips: Mapping[int, Clip]) -> Iterable[list[int]]:
        together: dict[str, list[int]] = defaultdict(list)
        for position, clip in clips.items():
            name = self.group(self, clip)
            if name is None:
                yield [position]
            else:
                together[name].append(position)
        yield from together.values()

    def _answer_group(self, clips: Mapping[int, Clip]) -> dict[int, Output]:
        """One batch; each clip's time is its share. Where the batch fails, each clip is asked alone."""
        start = time.perf_counter()
        try:
            texts = self.decode(self, list(clips.values()))
        except Exception:  # whatever failed will fail again for the clip that caused it, and is told there
            return {
                position: answer_one(lambda clip=clip: text_output(self.decode(self, [clip])[0]))  # type: ignore[misc]
                for position, clip in clips.items()
            }
        share = (time.perf_counter() - start) / len(clips)
        return {
            position: replace(text_output(text), timings={"total": share})
            for position, text in zip(clips, texts, strict=True)
        }


def _load(folder: Path, dtype: str, device: str) -> _Loaded:
    import transformers

    named = architecture(folder)
    network = load_network("transformers-asr", folder, named, dtype, device)
    processor = getattr(transformers, PROCESSORS[named]).from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    decode, group = _FUNCTIONS[named]
    return _Loaded(network, processor, decode, group)


def _decode_whisper(loaded: _Loaded, clips: Sequence[Clip]) -> list[str]:
    """Greedy texts. One window, padded to its full length; or one longer recording, window after window."""
    import torch

    network, extractor = loaded.network, loaded.processor.feature_extractor
    long = len(clips[0][0]) > extractor.n_samples
    inputs = extractor(
        [samples for samples, _ in clips],
        sampling_rate=loaded.rate,
        return_tensors="pt",
        return_attention_mask=True,
        truncation=not long,
        padding="longest" if long else "max_length",
    )
    told: dict[str, Any] = {"return_timestamps": True, "condition_on_prev_tokens": False} if long else {}
    if getattr(network.generation_config, "is_multilingual", False):
        told |= {"task": "transcribe", "language": clips[0][1]}
    with torch.inference_mode():
        tokens = network.generate(
            inputs.input_features.to(network.device, network.dtype),
            attention_mask=inputs.attention_mask.to(network.device),
            num_beams=1,
            do_sample=False,
            max_length=network.config.max_target_positions,
            **told,
        )
    texts: list[str] = loaded.processor.batch_decode(tokens, skip_special_tokens=True)
    return texts


def _group_whisper(loaded: _Loaded, clip: Clip) -> str | None:
    samples, language = clip
    return language or "" if len(samples) <= loaded.processor.feature_extractor.n_samples else None


def _decode_ctc(loaded: _Loaded, clips: Sequence[Clip]) -> list[str]:
    """The most probable token of each frame, repeats and blanks removed; frames of padding are left out."""
    import torch

    inputs = _waveforms(loaded, clips)
    with torch.inference_mode():
        logits = loaded.network(**inputs).logits  # (batch, frame, token)
    frames = [_frames(loaded.network.config, len(samples)) for samples, _ in clips]
    if loaded.network.config.add_adapter:  # adapters shorten the output, and their clips go alone
        frames = [logits.shape[1]]
    best = logits.argmax(dim=-1).cpu()
    return [loaded.processor.tokenizer.decode(row[:count]) for row, count in zip(best, frames, strict=True)]


def _decode_speecht5(loaded: _Loaded, clips: Sequence[Clip]) -> list[str]:
    """Greedy texts, up to the decoder's longest."""
    import torch

    network = loaded.network
    with torch.inference_mode():
        tokens = network.generate(
            **_waveforms(loaded, clips), num_beams=1, do_sample=False, max_length=network.config.max_text_positions
        )
    texts: list[str] = loaded.processor.batch_decode(tokens, skip_special_tokens=True)
    return texts


def _waveforms(loaded: _Loaded, clips: Sequence[Clip]) -> dict[str, Any]:
    """Waveforms padded to the longest, with the attention mask where the model was trained with one.

    Raises AudioError for a clip that is too short to make one frame.
    """
    network = loaded.network
    for samples, _ in clips:
        if _frames(network.config, len(samples)) < 1:
            raise AudioError(
                f"the clip of {1000 * len(samples) / loaded.rate:.3g} ms is shorter than the model's frame"
            )
    inputs = loaded.processor.feature_extractor(
        [samples for samples, _ in clips], sampling_rate=loaded.rate, return_tensors="pt", padding=True
    )
    ready = {"input_values": inputs.input_values.to(network.device, network.dtype)}
    if "attention_mask" in inputs:
        ready["attention_mask"] = inputs.attention_mask.to(network.device)
    return ready


def _group_waveform(loaded: _Loaded, clip: Clip) -> str | None:
    """Padding goes unheard only where each frame is normalised alone (``layer``) and a mask hides it.

    With ``group`` the first layer's statistics run over the whole clip, so that padding would change the text.
    """
    config = loaded.network.config
    masked = config.feat_extract_norm == "layer" and loaded.processor.feature_extractor.return_attention_mask
    alone = not masked or getattr(config, "add_adapter", False) or _frames(config, len(clip[0])) < 1
    return None if alone else ""


def _frames(config: Any, samples: int) -> int:
    """How many frames the convolutional front end makes of a clip."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples


_FUNCTIONS: dict[
    str,
    tuple[Callable[[_Loaded, Sequence[Clip]], list[str]], Callable[[_Loaded, Clip], str | None]],
] = {
    "WhisperForConditionalGeneration": (_decode_whisper, _group_whisper),
    "Wav2Vec2ForCTC": (_decode_ctc, _group_waveform),
    "SpeechT5ForSpeechToText": (_decode_speecht5, _group_waveform),
}
