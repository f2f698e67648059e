from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Model, Output, Request, Waveform
from audiometry.models.adapters import common

SECONDS = (0.9, 0.31, 0.62)
CONVOLUTIONS = {"conv_dim": (16,) * 3, "conv_stride": (10, 8, 4), "conv_kernel": (20, 8, 4)}
POSITIONS = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}


def whisper_checkpoint(folder: Path, *, multilingual: bool = False) -> None:
    """A Whisper that hears one second at a time, with byte tokens."""
    from tokenizers import pre_tokenizers
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    vocabulary = {token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|fr|>", "<|transcribe|>", "<|notimestamps|>"]
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": special[1:]})
    end, start, english, french, task, plain = tokenizer.convert_tokens_to_ids(special)
    config = WhisperConfig(
        vocab_size=plain + 52, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=50,
        max_target_positions=16, num_mel_bins=20, pad_token_id=end, bos_token_id=end, eos_token_id=end,
        decoder_start_token_id=start, init_std=0.5,
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config)
    languages = {"lang_to_id": {"<|en|>": english, "<|fr|>": french}, "task_to_id": {"transcribe": task}}
    network.generation_config = GenerationConfig(
        decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end, max_length=16,
        is_multilingual=multilingual, no_timestamps_token_id=plain, max_initial_timestamp_index=5,
        **(languages if multilingual else {}),
    )  # fmt: skip
    network.save_pretrained(folder)
    extractor = WhisperFeatureExtractor(feature_size=20, chunk_length=1)
    WhisperProcessor(extractor, tokenizer).save_pretrained(folder)


def ctc_checkpoint(folder: Path, norm: str, **more: Any) -> None:
    """A wav2vec 2.0 with letters."""
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    config = Wav2Vec2Config(
        vocab_size=len(tokens), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        num_feat_extract_layers=3, feat_extract_norm=norm, do_stable_layer_norm=norm == "layer", pad_token_id=0,
        initializer_range=0.5, **CONVOLUTIONS, **POSITIONS, **more,
    )  # fmt: skip
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=norm == "layer")
    Wav2Vec2Processor(extractor, Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))).save_pretrained(folder)


def speecht5_checkpoint(folder: Path) -> None:
    """A SpeechT5 that writes letters."""
    import sentencepiece
    from transformers import (
        SpeechT5Config,
        SpeechT5FeatureExtractor,
        SpeechT5ForSpeechToText,
        SpeechT5Processor,
        SpeechT5Tokenizer,
    )

    folder.mkdir(exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the quick brown fox jumps over the lazy dog"] * 5), model_prefix=folder / "spm_char",
        model_type="char", vocab_size=31, bos_id=0, pad_id=1, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    tokenizer = SpeechT5Tokenizer(str(folder / "spm_char.model"))
    config = SpeechT5Config(
        vocab_size=len(tokenizer), hidden_size=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_feat_extract_layers=3,
        max_text_positions=12, max_speech_positions=200, speech_decoder_prenet_units=8, initializer_range=0.5,
        **CONVOLUTIONS, **POSITIONS,
    )  # fmt: skip
    SpeechT5ForSpeechToText(config).save_pretrained(folder)
    SpeechT5Processor(SpeechT5FeatureExtractor(), tokenizer).save_pretrained(folder)


MAKERS: dict[str, Callable[[Path], None]] = {
    "whisper": whisper_checkpoint,
    "whisper-multilingual": lambda folder: whisper_checkpoint(folder, multilingual=True),
    "ctc-layer": lambda folder: ctc_checkpoint(folder, "layer"),
    "ctc-group": lambda folder: ctc_checkpoint(folder, "group"),
    "ctc-adapter": lambda folder: ctc_checkpoint(folder, "layer", add_adapter=True, num_adapter_layers=1),
    "speecht5": speecht5_checkpoint,
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny random checkpoint of each kind."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    for kind, make in MAKERS.items():
        make(folder / kind)
    return {kind: folder / kind for kind in MAKERS}


def load(folder: Path, **settings: str) -> Model:
    spec = Spec("transformers-asr", tuple(sorted({"path": str(folder), **settings}.items())))
    MODELS.check(spec)
    return MODELS.create(spec)


def texts(outputs: Iterable[Output]) -> list[str | None]:
    return [output.text for output in outputs]


def by_hand(kind: str, folder: Path, samples: np.ndarray[Any, Any]) -> str:
    """One clip through transformers as its documentation shows."""
    import transformers

    names = {
        "whisper": ("WhisperForConditionalGeneration", "WhisperProcessor"),
        "ctc": ("Wav2Vec2ForCTC", "Wav2Vec2Processor"),
        "speecht5": ("SpeechT5ForSpeechToText", "SpeechT5Processor"),
    }[kind.partition("-")[0]]
    network = getattr(transformers, names[0]).from_pretrained(folder).eval()
    processor = getattr(transformers, names[1]).from_pretrained(folder)
    inputs = processor(audio=samples, sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        if kind.startswith("ctc"):
            tokens = network(**inputs).logits.argmax(-1)
        elif kind == "speecht5":
            tokens = network.generate(**inputs, max_length=12)
        else:
            tokens = network.generate(inputs.input_features, max_length=16)
    return str(processor.batch_decode(tokens, skip_special_tokens=not kind.startswith("ctc"))[0]).strip()


@pytest.mark.parametrize("kind", ["whisper", "ctc-layer", "ctc-group", "ctc-adapter", "speecht5"])
def test_each_class_writes_what_transformers_writes_alone_and_together(
    kind: str, checkpoints: dict[str, Path], sound: Callable[..., Request]
) -> None:
    requests = [sound(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    model = load(checkpoints[kind])
    assert isinstance(model, Model)
    assert model.name == f"transformers-asr:path={checkpoints[kind]}"
    assert model.deterministic
    expected = [by_hand(kind, checkpoints[kind], request.waveforms["input"].samples) for request in requests]
    assert len(set(expected)) > 1
    together = model.generate(requests)
    assert texts(together) == expected
    assert all(output.timings["total"] > 0.0 for output in together)
    assert texts(model.generate(requests[::-1]))[::-1] == expected
    assert texts(model.generate(requests[1:2])) == expected[1:2]
    model.close()


def test_a_multilingual_whisper_takes_each_requests_language(
    checkpoints: dict[str, Path], sound: Callable[..., Request]
) -> None:
    model = load(checkpoints["whisper-multilingual"])
    requests = [sound(0.5, 1, language=language) for language in ("en", "fr", None)]
    outputs = model.generate(requests)
    assert outputs[0].text != outputs[1].text
    assert outputs[2].text in (outputs[0].text, outputs[1].text)  # it finds the language itself
    assert [model.generate([request])[0].text for request in requests] == texts(outputs)
    wrong, right = model.generate([sound(0.5, 1, language="xx"), requests[0]])
    assert wrong.status == "error"
    assert "Unsupported language: xx" in str(wrong.error)
    assert right.text == outputs[0].text


def test_a_recording_longer_than_the_window_goes_alone(
    checkpoints: dict[str, Path], sound: Callable[..., Request]
) -> None:
    model = load(checkpoints["whisper"])
    short, long = sound(0.5, 1), sound(2.4, 2)
    outputs = model.generate([long, short])
    heard = long.waveforms["input"].samples
    first = by_hand("whisper", checkpoints["whisper"], heard[:16_000])
    assert outputs[0].status == "ok"
    assert len(str(outputs[0].text)) > len(first)
    assert texts(outputs) == [model.generate([long])[0].text, model.generate([short])[0].text]


@pytest.mark.parametrize("kind", ["ctc-layer", "ctc-group", "speecht5"])
def test_a_bad_sample_costs_only_itself(kind: str, checkpoints: dict[str, Path], sound: Callable[..., Request]) -> None:
    model = load(checkpoints[kind])
    good = sound(0.4)
    answers = model.generate([sound(0.002), good, Request("transcribe")])
    assert [answer.status for answer in (answers[0], answers[2])] == ["error", "error"]
    assert answers[0].error == "the clip of 2 ms is shorter than the model's frame"
    assert answers[2].error == "the request has no sound in the role 'input'"
    assert answers[1].text == model.generate([good])[0].text


def test_where_a_batch_fails_each_clip_is_asked_alone(
    checkpoints: dict[str, Path], sound: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Wav2Vec2ForCTC

    requests = [sound(0.4, 1), sound(0.3, 2)]
    model = load(checkpoints["ctc-layer"])
    expected = texts(model.generate(requests))
    forward = Wav2Vec2ForCTC.forward

    def small(self: Any, input_values: Any, **more: Any) -> Any:
        if len(input_values) > 1:
            raise RuntimeError("out of memory")
        return forward(self, input_values, **more)

    monkeypatch.setattr(Wav2Vec2ForCTC, "forward", small)
    assert texts(model.generate(requests)) == expected


@pytest.mark.speech
@pytest.mark.slow
def test_the_packaged_whisper_writes_the_same_through_both_libraries(
    tiny_en_checkpoint: Path, spoken: list[tuple[Request, str]]
) -> None:
    padded = []
    for request, _ in spoken[:4]:  # faster-whisper pads features, transformers samples: whole windows have neither
        samples = resample(request.waveforms["input"], 16_000).samples
        whole = Waveform(np.pad(samples, (0, 480_000 - len(samples))), 16_000)
        padded.append(Request("transcribe", waveforms={"input": whole}))
    expected = MODELS.create(Spec("whisper", (("compute_type", "float32"),))).generate(padded)
    assert texts(load(tiny_en_checkpoint).generate(padded)) == texts(expected)


def test_lower_precision_is_another_model(checkpoints: dict[str, Path], sound: Callable[..., Request]) -> None:
    full, half = load(checkpoints["ctc-layer"], threads="2"), load(checkpoints["ctc-layer"], dtype="bfloat16")
    assert half.generate([sound(0.4)])[0].status in ("ok", "empty")
    assert half.name.startswith("transformers-asr:dtype=bfloat16,path=")
    assert half.fingerprint != full.fingerprint
    assert load(checkpoints["ctc-layer"]).fingerprint == full.fingerprint


def copied(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target / "copy"))


def test_the_fingerprint_follows_the_weights(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(checkpoints["ctc-layer"], tmp_path)
    before = load(folder).fingerprint
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.bias"] += 1.0
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert load(folder).fingerprint != before


def test_weights_that_are_left_out_are_not_made_up(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(checkpoints["ctc-layer"], tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.bias"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"lacks 1 of the weights .* lm_head\.bias first"):
        load(folder)


def test_nothing_is_fetched_and_no_code_of_the_folder_runs(
    checkpoints: dict[str, Path], tmp_path: Path, sound: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(checkpoints["ctc-layer"], tmp_path)
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Wav2Vec2ForCTC: ...\n")
    for name in ("config.json", "processor_config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        content["auto_map"] = dict.fromkeys(("AutoConfig", "AutoModelForCTC", "AutoProcessor"), "evil.Wav2Vec2ForCTC")
        (folder / name).write_text(json.dumps(content))
    (folder / "pytorch_model.bin").write_bytes(b"never read")

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert load(folder).generate([sound(0.4)])[0].status in ("ok", "empty")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"path": "/none"}, "the folder '/none' does not exist"),
        ({"device": "tpu"}, "'device': 'tpu' is not cpu, cuda, cuda:N or mps"),
        ({"dtype": "int8"}, "'int8' is not one of float32"),
        ({"threads": "-2"}, "'threads': -2 is less than 0"),
    ],
)
def test_bad_settings_are_found_before_anything_loads(
    settings: dict[str, str], told: str, checkpoints: dict[str, Path]
) -> None:
    spec = Spec("transformers-asr", tuple(sorted({"path": str(checkpoints["ctc-layer"]), **settings}.items())))
    with pytest.raises(SettingError, match=told):
        MODELS.check(spec)


def test_a_folder_of_another_class_or_with_pickled_weights_is_refused(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(checkpoints["ctc-layer"], tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SettingError, match="convert it to safetensors"):
        load(folder)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "architectures": ["BertModel"]}))
    with pytest.raises(SettingError, match="holds a BertModel; it must be one of WhisperForConditionalGeneration"):
        load(folder)


@pytest.mark.parametrize(
    ("kind", "removed", "told"),
    [
        ("ctc-layer", "processor_config.json", r"has no processor_config\.json or preprocessor_config\.json; save its"),
        ("ctc-layer", "vocab.json", r"has no tokenizer\.json or vocab\.json"),
        ("speecht5", "spm_char.model", r"has no spm_char\.model"),
    ],
)
def test_a_folder_without_its_processor_is_refused(
    kind: str, removed: str, told: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(checkpoints[kind], tmp_path)
    (folder / removed).unlink()
    with pytest.raises(DataError, match=told):
        load(folder)


def test_a_broken_settings_file_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(checkpoints["ctc-layer"], tmp_path)
    (folder / "tokenizer_config.json").write_text("{")
    with pytest.raises(DataError, match=r"tokenizer_config\.json is not JSON"):
        load(folder)


def test_a_machine_without_the_device_says_so(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="this machine has no 'cuda'; leave it out"):
        load(checkpoints["ctc-layer"], device="cuda")


def test_the_packages_are_asked_for_before_anything_starts(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = common.importlib.util.find_spec
    monkeypatch.setattr(
        common.importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else find(name)
    )
    with pytest.raises(UserError, match=r"needs the package 'sentencepiece'; .*audiometry\[torch\]"):
        load(checkpoints["speecht5"])
    load(checkpoints["ctc-layer"])
