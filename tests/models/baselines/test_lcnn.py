from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import MODELS, Spec, parse_spec
from audiometry.benchmark.types import Request, Waveform
from audiometry.models.baselines import lcnn, saved, training
from audiometry.models.baselines.cepstra import lfcc
from audiometry.models.baselines.lcnn_network import LcnnSettings, LightCnn, MaxFeatureMap
from audiometry.models.baselines.neural_fit import network_settings, put_weights, split_settings
from audiometry.models.baselines.saved import SavedDetector
from audiometry.models.baselines.training import TrainingSettings
from audiometry.models.baselines.trial_data import TrialData, development_rates

SMALL: dict[str, Any] = {
    "width": 0.5, "bands": 24, "frames": 64, "batch": 16, "steps": 40, "evaluate_every": 20, "threads": 1, "rate": 0.01,
    "dropout": 0.1, "mix": 0.0,
}  # fmt: skip


def made(seed: int, count: int = 48) -> TrialData:
    """Noise as bona fide; noise with a tone of 1 or 2 kHz as attacks A and B."""
    generator = np.random.default_rng(seed)
    bona_fide = np.arange(count) % 2 == 0
    attacks = ["" if real else "AB"[number // 2 % 2] for number, real in enumerate(bona_fide)]
    time = np.arange(16_000) / 16_000
    tones = {"": 0.0, "A": np.sin(2 * np.pi * 1000 * time), "B": np.sin(2 * np.pi * 2000 * time)}
    waveforms = [(generator.normal(0, 0.1, 16_000) + 0.1 * tones[name]).astype(np.float32) for name in attacks]
    return TrialData(waveforms, bona_fide, attacks, [str(number) for number in range(count)])


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("given", [{}, {"steps": "900"}])
def test_without_settings_the_recipe_is_that_of_the_shipped_weights(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, Any]] = []

    def stopped(network: Any, *_parts: Any, settings: TrainingSettings, **_more: Any) -> None:
        asked.append((network.settings, settings))
        raise StoppedError

    monkeypatch.setattr(training, "train", stopped)
    with pytest.raises(StoppedError):
        lcnn.fit(made(0, 4), made(1, 4), seed=0, report=lambda _line: None, **given)
    [(network, settings)] = asked
    facts = saved.load_for("lfcc-lcnn", "E4").facts
    assert json.loads(facts["training"]) == training._decisive(settings)
    assert json.loads(facts["network"]) == asdict(network)
    assert (facts["loss"], facts["frames"]) == (lcnn.Objective().loss, str(lcnn.Objective().frames))


def trained(seed: int = 0, lines: list[str] | None = None, **more: Any) -> SavedDetector:
    told: list[str] = [] if lines is None else lines
    return lcnn.fit(made(0), made(1), seed=seed, report=told.append, **{**SMALL, **more})


@pytest.fixture(scope="module")
def detector() -> SavedDetector:
    return trained()


@pytest.fixture(scope="module")
def file(detector: SavedDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lcnn") / "weights.safetensors"
    saved.save(path, detector)
    return path


@pytest.mark.parametrize(
    "more", [{}, {"features": "log-filter-bank"}, {"loss": "one-class-softmax"}, {"pooling": "statistics"}]
)
def test_a_made_difference_is_learnt_in_seconds(more: dict[str, str]) -> None:
    lines: list[str] = []
    found = trained(lines=lines, **more)
    network = lcnn._network(found, network_settings(found, LcnnSettings))
    unseen = made(2)
    assert development_rates(lcnn.score_clips(network, unseen.waveforms), unseen).macro <= 0.05
    assert any(line.startswith("EER") for line in lines)
    assert found.facts["loss"] == more.get("loss", "cross-entropy")


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(detector: SavedDetector, tmp_path: Path) -> None:
    for name, found in (("first", detector), ("again", trained()), ("other", trained(seed=1))):
        saved.save(tmp_path / name, found)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()


def test_settings_as_texts_are_those_as_numbers(detector: SavedDetector) -> None:
    found = trained(**{name: str(value) for name, value in SMALL.items()})
    assert all(np.array_equal(found.arrays[name], value) for name, value in detector.arrays.items())


def test_the_choice_of_weights_looks_at_a_part_and_the_calibration_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    whole = training.scores_of

    def counted(network: nn.Module, batches: Any) -> Any:
        looked_at.append(sum(map(len, batches)))
        return whole(network, batches)

    monkeypatch.setattr(training, "scores_of", counted)
    trained(watched=20, steps=2, evaluate_every=1)
    assert looked_at == [20, 20, 48]


def test_the_band_follows_the_level(detector: SavedDetector) -> None:
    assert (json.loads(detector.facts["network"])["low"], json.loads(detector.facts["network"])["high"]) == (300, 3400)
    full = trained(level="E1", steps=1, evaluate_every=1)
    assert (json.loads(full.facts["network"])["low"], json.loads(full.facts["network"])["high"]) == (0, 8000)


def ask(path: Path, *clips: np.ndarray) -> list[float]:
    model = MODELS.create(Spec("lfcc-lcnn", (("path", str(path)),)))
    requests = [Request("detect", waveforms={"input": Waveform(clip, 16_000)}) for clip in clips]
    outputs = model.generate(requests)
    model.close()
    assert [output.status for output in outputs] == ["ok"] * len(clips)
    return [float(output.score or 0.0) for output in outputs]


def test_the_model_answers_with_calibrated_scores_of_any_length(file: Path) -> None:
    unseen = made(3, 24)
    scores = np.array(ask(file, *unseen.waveforms))
    assert scores[unseen.bona_fide].mean() > 0 > scores[~unseen.bona_fide].mean()
    short, long = unseen.waveforms[0][:300], np.tile(unseen.waveforms[0], 5)
    assert all(map(np.isfinite, ask(file, short, long, np.zeros(8000, np.float32))))


def test_the_answer_changes_neither_with_gain_nor_with_neighbours(file: Path) -> None:
    clips = made(4, 6).waveforms
    together = ask(file, *clips)
    alone = [ask(file, clip)[0] for clip in clips]
    assert together == alone
    assert np.allclose(together, ask(file, *(0.25 * clip for clip in clips)), atol=1e-3)
    network = lcnn._network(saved.load(file, kind="lfcc-lcnn"), LcnnSettings(bands=24, width=0.5, dropout=0.1))
    one_by_one = [lcnn.score_clips(network, [clip])[0] for clip in clips]
    assert np.allclose(lcnn.score_clips(network, clips), one_by_one, atol=1e-5)


def test_the_registration_checks_and_fingerprints_without_loading(file: Path, tmp_path: Path) -> None:
    spec = parse_spec(f"lfcc-lcnn:path={file}")
    assert MODELS.check(spec).deterministic
    assert MODELS.create(spec).fingerprint == MODELS.fingerprint(spec)
    with pytest.raises(DataError, match="audiometry train lfcc-lcnn"):
        MODELS.check(parse_spec(f"lfcc-lcnn:path={tmp_path / 'none.safetensors'}"))
    with pytest.raises(DataError, match="level=E4"):
        MODELS.create(parse_spec(f"lfcc-lcnn:path={file},level=E1"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: replace(d, facts={**d.facts, "network": "{}}"}), "no settings of its network"),
        (lambda d: replace(d, facts={**d.facts, "network": '{"colour": 1}'}), "colour"),
        (lambda d: replace(d, facts={name: v for name, v in d.facts.items() if name != "network"}), "network"),
        (lambda d: replace(d, arrays={n: a for n, a in d.arrays.items() if n != "head.weight"}), "head.weight"),
        (lambda d: replace(d, arrays={**d.arrays, "head.weight": np.zeros((1, 3), np.float32)}), "size mismatch"),
    ],
)
def test_a_file_that_does_not_fit_is_told(
    change: Callable[[SavedDetector], SavedDetector], told: str, detector: SavedDetector, tmp_path: Path
) -> None:
    saved.save(tmp_path / "wrong.safetensors", change(detector))
    with pytest.raises(DataError, match=told):
        MODELS.create(parse_spec(f"lfcc-lcnn:path={tmp_path / 'wrong.safetensors'}"))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"colour": "red"}, "takes no setting 'colour'"),
        ({"bands": "many"}, "not a whole number"),
        ({"loss": "hinge"}, "not one of cross-entropy"),
        ({"bands": 4}, "16 bands"),
        ({"width": 9.0}, "width"),
        ({"frames": 8}, "32 or more"),
        ({"width": 3.0, "bands": 400, "high": 8000.0}, "more than 1000000"),
    ],
)
def test_bad_settings_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        trained(**wrong)


def test_the_default_network_is_light() -> None:
    size = sum(parameter.numel() for parameter in LightCnn(LcnnSettings()).parameters())
    assert 100_000 <= size <= 300_000


def test_settings_are_handed_to_whoever_has_them() -> None:
    shape, objective = split_settings("x", {"frames": "40", "bands": 32}, (LcnnSettings(), lcnn.Objective()))
    assert (shape.bands, objective.frames) == (32, 40)


def test_max_feature_map_is_the_larger_half() -> None:
    inputs = torch.randn(3, 8, 5, requires_grad=True)
    larger = torch.maximum(inputs[:, :4], inputs[:, 4:])
    assert torch.allclose(MaxFeatureMap()(inputs), larger, atol=1e-6)
    (ours,) = torch.autograd.grad(MaxFeatureMap()(inputs).sum(), inputs)
    (theirs,) = torch.autograd.grad(larger.sum(), inputs)
    assert torch.equal(ours, theirs)


def test_the_cepstra_in_the_network_are_those_of_the_classic_front_end() -> None:
    clip = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    classic = lfcc(clip, band=(0.0, 8000.0), filters=24, coefficients=24)  # (frames, 72)
    network = LightCnn(LcnnSettings(features="lfcc", bands=24, low=0, high=8000, window=0.02))
    channels = network._channels(torch.from_numpy(lcnn._spectrogram(clip, network.settings))[None])[0].numpy()
    ours = np.concatenate(list(channels)).T / np.log(10)
    assert ours.shape == classic.shape
    assert np.allclose(ours[:, 1:], classic[:, 1:], atol=1e-4)  # the 0th is the level, which ours takes away


def test_statistics_pooling_is_mean_and_deviation_over_time() -> None:
    network = LightCnn(LcnnSettings(pooling="statistics"))
    frames = torch.randn(2, 7, 5)
    pooled = network._pool(frames)
    assert torch.allclose(pooled[:, :5], frames.mean(dim=1), atol=1e-6)
    assert torch.allclose(pooled[:, 5:], frames.var(dim=1, correction=0).add(1e-5).sqrt(), atol=1e-6)


def test_attention_can_look_at_one_frame_alone() -> None:
    network = LightCnn(LcnnSettings())
    first, last = network.attention[0], network.attention[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    frames = torch.randn(1, 6, first.in_features)
    frames[0, :, 0] = 0.0
    frames[0, 2, 0] = 10.0
    with torch.no_grad():
        for part in (first.weight, first.bias, last.weight):
            part.zero_()
        first.weight[0, 0], last.weight[0, 0] = 1.0, 100.0
        pooled = network._pool(frames)
    assert torch.allclose(pooled[0, : first.in_features], frames[0, 2], atol=1e-4)
    assert torch.allclose(pooled[0, first.in_features :], torch.tensor(1e-5).sqrt(), atol=1e-4)


def test_a_cosine_head_stays_within_one() -> None:
    network = LightCnn(LcnnSettings(head="cosine")).eval()
    scores = network(5 * torch.randn(8, 80, 64))
    assert scores.abs().max() <= 1.0 + 1e-6
    assert scores.shape == (8,)


def test_weights_of_another_shape_are_refused(detector: SavedDetector) -> None:
    with pytest.raises(DataError, match="does not fit"):
        put_weights(detector, LightCnn(LcnnSettings()))
