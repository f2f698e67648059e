from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Request, Waveform
from audiometry.models.adapters.whisper import locate
from audiometry.models.baselines import encoder_head, saved, whisper_encoder
from audiometry.models.baselines.saved import SavedDetector
from audiometry.models.baselines.trial_data import TrialData
from audiometry.models.baselines.whisper_encoder import Encoder, Standardise, layers_of, statistics

SMALL: dict[str, Any] = {"steps": 40, "batch": 16, "evaluate_every": 20, "threads": 1, "hidden": 8, "layers": "13"}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return whisper_encoder.load_encoder(locate("tiny.en"))


def made(seed: int, count: int = 24) -> TrialData:
    """Noise as bona fide; noise with a tone of 1 or 2 kHz as attacks A and B; half a second each."""
    generator = np.random.default_rng(seed)
    bona_fide = np.arange(count) % 2 == 0
    attacks = ["" if real else "AB"[number // 2 % 2] for number, real in enumerate(bona_fide)]
    time = np.arange(8000) / 16_000
    tones = {"": 0.0, "A": np.sin(2 * np.pi * 1000 * time), "B": np.sin(2 * np.pi * 2000 * time)}
    waveforms = [(generator.normal(0, 0.1, 8000) + 0.1 * tones[name]).astype(np.float32) for name in attacks]
    return TrialData(waveforms, bona_fide, attacks, [str(number) for number in range(count)])


def trained(seed: int = 0, lines: list[str] | None = None, **more: Any) -> SavedDetector:
    told: list[str] = [] if lines is None else lines
    return encoder_head.fit(made(0), made(1), seed=seed, report=told.append, **{**SMALL, **more})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("head") / "weights.safetensors"
    saved.save(path, trained())
    return path


def test_the_last_layer_is_what_ctranslate2_computes(encoder: Encoder) -> None:
    import ctranslate2

    clips = np.random.default_rng(0).normal(0, 0.1, (2, 24_000)).astype(np.float32)
    mel = whisper_encoder._mel(encoder, clips)
    engine = ctranslate2.models.Whisper(str(locate("tiny.en")), device="cpu", compute_type="float32", intra_threads=1)
    features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel.numpy()))
    theirs = np.array(engine.encode(features))
    ours = layers_of(encoder, mel)
    assert theirs.shape == (2, 75, 384)
    assert len(ours) == whisper_encoder.LAYERS
    assert np.abs(theirs - ours[-1].numpy()).max() < 1e-3


def test_statistics_are_the_mean_and_deviation_of_every_layer(encoder: Encoder) -> None:
    clips = [np.random.default_rng(seed).normal(0, 0.1, 8000).astype(np.float32) for seed in range(2)]
    found = statistics(encoder, clips)
    assert found.shape == (2, 5, 2, 384)
    with torch.inference_mode():
        for layer, output in enumerate(layers_of(encoder, whisper_encoder._mel(encoder, np.stack(clips)))):
            assert np.allclose(found[:, layer, 0], output.numpy().mean(axis=1), atol=1e-5)
            assert np.allclose(found[:, layer, 1], output.numpy().std(axis=1), atol=1e-4)
    assert np.allclose(statistics(encoder, clips[1:])[0], found[1], atol=1e-4)


def test_clips_of_any_length_are_heard(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert np.isfinite(statistics(encoder, [np.ones(5, np.float32)])).all()
    heard: list[int] = []
    whole = layers_of

    def counted(used: Encoder, mel: torch.Tensor) -> list[torch.Tensor]:
        heard.append(mel.shape[2])
        return whole(used, mel)

    monkeypatch.setattr(whisper_encoder, "WINDOW", 16_000)
    monkeypatch.setattr(whisper_encoder, "layers_of", counted)
    noise = np.random.default_rng(0).normal(0, 0.1, 33_000).astype(np.float32)
    assert np.isfinite(statistics(encoder, [noise])).all()
    assert heard == [100, 100]  # what is left, 1000 samples, is too short
    heard.clear()
    statistics(encoder, [noise[:24_000]])
    assert heard == [100, 50]


@pytest.mark.parametrize(
    "content", [b"", b"\6\0\0\0\x0cWhisperSpec", struct.pack("<I", 7) + b"\x0c\0WhisperSpec\0", b"\xff" * 200]
)
def test_a_file_that_is_no_whisper_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    with pytest.raises(DataError, match="CTranslate2 Whisper"):
        whisper_encoder.load_encoder(tmp_path)


def test_a_whisper_of_another_size_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"encoder/conv1/weight": np.zeros((512, 80, 3), np.float32)}
    monkeypatch.setattr(whisper_encoder, "variables", lambda _path: other)
    with pytest.raises(DataError, match="not a Whisper tiny"):
        whisper_encoder.load_encoder(tmp_path)


def test_a_made_difference_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    found = trained(lines=lines)
    assert float(found.facts["development_macro_eer"]) <= 0.1
    assert found.arrays["0.mean"].shape == (2 * 768,)
    assert np.abs(found.arrays["0.mean"]).max() > 0
    assert any(line.startswith("EER") for line in lines)


def test_the_same_seed_gives_the_same_bytes(file: Path, tmp_path: Path) -> None:
    saved.save(tmp_path / "again", trained())
    assert (tmp_path / "again").read_bytes() == file.read_bytes()
    saved.save(tmp_path / "other", trained(seed=1))
    assert (tmp_path / "other").read_bytes() != file.read_bytes()


def test_the_model_answers_and_is_fingerprinted_by_encoder_and_head(file: Path, tmp_path: Path) -> None:
    spec = parse_spec(f"whisper-encoder-head:path={file}")
    MODELS.check(spec)
    model = MODELS.create(spec)
    unseen = made(2)
    outputs = model.generate(
        [Request("detect", waveforms={"input": Waveform(samples, 16_000)}) for samples in unseen.waveforms]
    )
    scores = np.array([output.score for output in outputs], np.float64)
    assert scores[unseen.bona_fide].mean() > 0 > scores[~unseen.bona_fide].mean()
    assert model.fingerprint == MODELS.fingerprint(spec)
    with pytest.raises(DataError, match="audiometry train whisper-encoder-head"):
        MODELS.check(parse_spec(f"whisper-encoder-head:path={tmp_path / 'none'}"))


def test_progress_is_told_while_the_encoder_hears(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_head, "TOGETHER", 1)
    lines: list[str] = []
    clips = [np.ones(1600, np.float32)] * 51
    assert encoder_head._heard(encoder, clips, "0", lines.append).shape == (51, 768)
    assert lines == ["whisper-encoder-head: heard 50 of 51"]


@pytest.mark.parametrize(
    "wrong", [{"layers": ""}, {"layers": "05"}, {"layers": "11"}, {"hidden": 0}, {"dropout": 1.0}, {"mix": 2.0}]
)
def test_bad_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="whisper-encoder-head"):
        trained(**wrong)


def test_standardising_takes_mean_and_deviation_away() -> None:
    values = torch.tensor([[1.0, 10.0], [3.0, 30.0]])
    layer = Standardise(2)
    assert torch.equal(layer(values), values)
    layer.mean, layer.deviation = torch.tensor([2.0, 20.0]), torch.tensor([1.0, 10.0])
    assert torch.equal(layer(values), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))


def test_a_head_of_another_shape_is_refused(file: Path, tmp_path: Path) -> None:
    found = saved.load(file, kind="whisper-encoder-head")
    facts = {**found.facts, "network": found.facts["network"].replace('"13"', '"1"')}
    saved.save(tmp_path / "wrong.safetensors", replace(found, facts=facts))
    with pytest.raises(DataError, match="does not fit"):
        MODELS.create(parse_spec(f"whisper-encoder-head:path={tmp_path / 'wrong.safetensors'}"))
