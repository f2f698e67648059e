"""Language models that hear, saved by transformers' ``save_pretrained``: Qwen2-Audio and models built like it (Chu et
al. 2024, "Qwen2-Audio Technical Report").

The question goes through the chat template of the folder. Only local folders with safetensors weights are read, no
code from them runs (a chat template is run in transformers' sandbox), and nothing is fetched.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import read, resample
from audiometry.benchmark.errors import AudioError, DataError, SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import Ability, Output, Request
from audiometry.models.adapters.checkpoints import architecture, checkpoint_files, load_network, read_json
from audiometry.models.adapters.common import (
    Recogniser,
    answer_one,
    check_at_least,
    fingerprint,
    needs_packages,
    shown_name,
    text_output,
    thread_count,
)
from audiometry.models.adapters.openai_messages import TRANSCRIBE

__all__ = ["transformers_audio_llm"]

NAME = "transformers-audio-llm"
VERSION = "transformers-audio-llm 1"

ABILITIES: frozenset[Ability] = frozenset({"classify", "respond", "transcribe"})

MAX_TEMPLATE_BYTES = 2**20

Dtype = Literal["float32", "float16", "bfloat16"]
Samples: TypeAlias = NDArray[np.float32]
Conversation: TypeAlias = list[dict[str, Any]]


def _window(processor: Any) -> float:
    return float(processor.feature_extractor.n_samples / processor.feature_extractor.sampling_rate)


def _told(processor: Any) -> float:
    return float(processor.max_audio_len)


@dataclass(frozen=True)
class _Kind:
    """The class of a network's processor, the longest clip in seconds that this hears whole, and the fewest frames.

    Of fewer frames the processor makes no sound token, and the question would be answered unheard; transformers' code
    of Qwen2-Audio takes a single token for an older format, and fails.
    """

    processor: str
    longest: Callable[[Any], float]
    least_frames: int


KINDS: Mapping[str, _Kind] = {
    "Qwen2AudioForConditionalGeneration": _Kind("Qwen2AudioProcessor", _window, 7),
    "AudioFlamingo3ForConditionalGeneration": _Kind("AudioFlamingo3Processor", _told, 3),
    "MusicFlamingoForConditionalGeneration": _Kind("MusicFlamingoProcessor", _told, 3),
    "GlmAsrForConditionalGeneration": _Kind("GlmAsrProcessor", _told, 7),
}
"""The classes that are understood, each tested with a checkpoint of its own."""


def check(
    *,
    path: str,
    prompt: str = "",  # noqa: ARG001
    max_tokens: int = 256,
    temperature: float = 0.0,
    stop: str = "",  # noqa: ARG001
    dtype: Dtype = "float32",  # noqa: ARG001
    device: str = "cpu",
    threads: int = 0,
) -> None:
    """Check the settings and the folder without loading either it or torch.

    Raises SettingError for a folder that is not there, a class that is not understood, weights that are only pickled,
    or a setting out of range; DataError for a file that is missing, malformed, too large or cut off; UserError for a
    package that is not installed.
    """
    needs_packages(NAME, "torch", ("torch", "transformers", "safetensors", "jinja2"))
    check_at_least(NAME, "threads", threads, 0)
    check_at_least(NAME, "max_tokens", max_tokens, 1)
    if not 0.0 <= temperature <= 100.0:
        raise SettingError(f"model {NAME!r}, setting 'temperature': {temperature:g} is not between 0 and 100")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        raise SettingError(f"model {NAME!r}, setting 'device': {device!r} is not cpu, cuda, cuda:N or mps")
    folder = Path(path).expanduser()
    named = architecture(folder)
    if named not in KINDS:
        raise SettingError(f"model {NAME!r}: {folder} holds a {named}; it must be one of {', '.join(KINDS)}")
    for file in _files(folder):
        if file.suffix == ".json":
            read_json(file)
        elif file.suffix == ".jinja" and file.stat().st_size > MAX_TEMPLATE_BYTES:
            raise DataError(f"{file} is larger than {MAX_TEMPLATE_BYTES // 2**20} MiB; that is no chat template")
    for choices in (("processor_config.json", "preprocessor_config.json"), ("tokenizer.json", "vocab.json")):
        if not any((folder / name).is_file() for name in choices):
            raise DataError(
                f"model {NAME!r}: {folder} has no {' or '.join(choices)}; save its processor there too: "
                "processor.save_pretrained(FOLDER)"
            )


@model(NAME, abilities=ABILITIES, check=check, needs="torch")
def transformers_audio_llm(
    *,
    path: str,
    prompt: str = "",
    max_tokens: int = 256,
    temperature: float = 0.0,
    stop: str = "",
    dtype: Dtype = "float32",
    device: str = "cpu",
    threads: int = 0,
) -> Recogniser:
    """A language model that hears, such as Qwen2-Audio, from a local save_pretrained folder."""
    import torch

    torch.set_num_threads(thread_count(threads))
    folder = Path(path).expanduser()
    settings = {
        "path": path, "prompt": prompt, "max_tokens": max_tokens, "temperature": temperature, "stop": stop,
        "dtype": dtype, "device": device,
    }  # fmt: skip
    loaded = _load(folder, dtype, device, _Asking(prompt, max_tokens, temperature, stop.replace("\\n", "\n")))
    return Recogniser(
        name=shown_name(NAME, transformers_audio_llm, settings),
        fingerprint=fingerprint(
            VERSION,
            _files(folder),
            settings={name: value for name, value in settings.items() if name != "path"},
            packages=("torch", "transformers", "tokenizers", "soxr"),
        ),
        answer=loaded.answer,
        abilities=ABILITIES,
        deterministic=temperature == 0.0,
    )


def _files(folder: Path) -> list[Path]:
    """Every file that decides an answer, the chat templates among them."""
    return [*checkpoint_files(folder), *sorted(folder.rglob("*.jinja"))]


@dataclass(frozen=True)
class _Asking:
    prompt: str
    max_tokens: int
    temperature: float
    stop: str


@dataclass(frozen=True)
class _Loaded:
    """Network and processor. `longest` is the longest clip in seconds; `ends` are the tokens that end an answer."""

    network: Any
    processor: Any
    asking: _Asking
    longest: float
    least_frames: int
    ends: frozenset[int]

    @property
    def rate(self) -> int:
        return int(self.processor.feature_extractor.sampling_rate)

    def answer(self, requests: Sequence[Request]) -> list[Output]:
        """Greedy answers in one batch; sampled ones alone, so that each depends on its own seed only."""
        outputs: dict[int, Output] = {}
        ready: dict[int, Conversation] = {}
        for position, request in enumerate(requests):
            try:
                ready[position] = self._conversation(request)
            except AudioError as error:
                outputs[position] = Output(status="error", error=str(error))
        if self.asking.temperature > 0:
            outputs |= {at: self._alone(said, requests[at].seed) for at, said in ready.items()}
        elif ready:
            outputs |= self._together(ready)
        return [_labelled(request, outputs[position]) for position, request in enumerate(requests)]

    def _together(self, ready: Mapping[int, Conversation]) -> dict[int, Output]:
        """One batch; each answer's time is its share. Where the batch fails, each is asked alone."""
        start = time.perf_counter()
        try:
            answers = self._generate(list(ready.values()))
        except Exception:  # whatever failed will fail again for the request that caused it, and is told there
            return {at: self._alone(said, 0) for at, said in ready.items()}
        share = (time.perf_counter() - start) / len(ready)
        return {at: replace(answer, timings={"total": share}) for at, answer in zip(ready, answers, strict=True)}

    def _alone(self, conversation: Conversation, seed: int) -> Output:
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return answer_one(lambda: self._generate([conversation])[0])

    def _conversation(self, request: Request) -> Conversation:
        """The turns so far, then all sounds (``input`` first), then instruction and text.

        To `transcribe`, the setting `prompt` or `TRANSCRIBE` stands in for an instruction that the request does not
        have; otherwise `prompt` is a system message before all.

        Raises AudioError for a clip that is too long, or a request with nothing to hear or read.
        """
        turns = [
            {
                "role": turn.role,
                "content": _content([] if turn.audio is None else [self._heard(read(turn.audio))], turn.text),
            }
            for turn in request.turns
        ]
        missing = sorted({*request.audios} - {*request.waveforms})
        if missing or (request.ability == "transcribe" and "input" not in request.waveforms):
            raise AudioError(f"the request has no sound in the role {(missing or ['input'])[0]!r}")
        sounds = [self._heard(request.waveforms[role]) for role in sorted(request.waveforms, key=_input_first)]
        instruction = request.instruction
        system: Conversation = []
        if request.ability == "transcribe":
            instruction = instruction or self.asking.prompt or TRANSCRIBE
        elif self.asking.prompt:
            system = [{"role": "system", "content": _content([], self.asking.prompt)}]
        content = _content(sounds, "\n".join(part for part in (instruction, request.text) if part))
        if not content:
            raise AudioError("the request has neither sound nor text")
        return [*system, *turns, {"role": "user", "content": content}]

    def _heard(self, waveform: Any) -> Samples:
        if waveform.seconds > self.longest:
            raise AudioError(
                f"the clip of {waveform.seconds:.1f} s is longer than the {self.longest:g} s that the model hears; "
                "it would be cut off, so it is not asked"
            )
        samples = resample(waveform, self.rate).samples
        if len(samples) <= (self.least_frames - 1) * self.processor.feature_extractor.hop_length:
            raise AudioError(f"the clip of {1000 * waveform.seconds:.3g} ms is too short for the model to hear")
        return samples

    def _generate(self, conversations: Sequence[Conversation]) -> list[Output]:
        import torch

        network, asking = self.network, self.asking
        inputs = self.processor.apply_chat_template(
            list(conversations),
            tokenize=True,
            return_dict=True,
            add_generation_prompt=True,
            sanitize_control_tokens=True,  # a token such as <|im_end|> inside a question is text
            processor_kwargs={
                "text_kwargs": {"padding": True, "padding_side": "left", "return_tensors": "pt"},
                "audio_kwargs": {"return_tensors": "pt"},
            },
        ).to(network.device, network.dtype)
        sampling = {"do_sample": True, "temperature": asking.temperature} if asking.temperature > 0 else {}
        stopping = {"stop_strings": [asking.stop], "tokenizer": self.processor.tokenizer} if asking.stop else {}
        with torch.inference_mode():
            tokens = network.generate(**inputs, max_new_tokens=asking.max_tokens, **sampling, **stopping)
        heard = inputs["attention_mask"].sum(dim=1).tolist()
        rows = tokens[:, inputs["input_ids"].shape[1] :].tolist()
        return [self._output(row, int(count)) for row, count in zip(rows, heard, strict=True)]

    def _output(self, row: list[int], heard: int) -> Output:
        """The answer up to its end. One that has none was cut off: its usage says ``truncated``."""
        end = next((at for at, token in enumerate(row) if token in self.ends), None)
        text: str = self.processor.tokenizer.decode(row[:end], skip_special_tokens=True)
        stopped = bool(self.asking.stop) and self.asking.stop in text
        if stopped:
            text = text.partition(self.asking.stop)[0]
        usage = {"input_tokens": float(heard), "output_tokens": float(len(row) if end is None else end + 1)}
        if end is not None or stopped:
            return replace(text_output(text), usage=usage)
        return replace(text_output(text), usage={**usage, "truncated": 1.0})


def _labelled(request: Request, output: Output) -> Output:
    """To `classify`, the reply is also the label, as it stands."""
    if request.ability == "classify" and output.status == "ok":
        return replace(output, labels={output.text or "": 1.0})
    return output


def _content(sounds: Sequence[Samples], text: str | None) -> list[dict[str, Any]]:
    words = [{"type": "text", "text": text}] if text else []
    return [*({"type": "audio", "audio": samples} for samples in sounds), *words]


def _input_first(role: str) -> tuple[bool, str]:
    return role != "input", role


def _load(folder: Path, dtype: str, device: str, asking: _Asking) -> _Loaded:
    import transformers

    named = architecture(folder)
    kind = KINDS[named]
    network = load_network(NAME, folder, named, dtype, device)
    processor = getattr(transformers, kind.processor).from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    if not processor.chat_template:
        raise DataError(f"model {NAME!r}: {folder} has no chat template; save its processor there with one")
    ends = _set_generation(network, processor.tokenizer)
    return _Loaded(network, processor, asking, kind.longest(processor), kind.least_frames, ends)


def _set_generation(network: Any, tokenizer: Any) -> frozenset[int]:
    """Plain greedy decoding or plain sampling, whatever the checkpoint's defaults; returns the tokens that end.

    Penalties of the checkpoint are left out: they count the padding too, so that a batch would change the answers.
    """
    from transformers import GenerationConfig

    saved = network.generation_config.eos_token_id
    named = saved if isinstance(saved, list) else [saved]
    ends = sorted({token for token in (*named, tokenizer.eos_token_id) if token is not None})
    if not ends:
        raise DataError(f"model {NAME!r}: neither generation_config.json nor the tokenizer names a token that ends")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    network.generation_config = GenerationConfig(
        do_sample=False, num_beams=1, top_k=0, top_p=1.0, repetition_penalty=1.0, eos_token_id=ends, pad_token_id=pad,
    )  # fmt: skip
    return frozenset({*ends, pad})
