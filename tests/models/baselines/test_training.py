from __future__ import annotations

import doctest
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.models.baselines import sampling, training
from audiometry.models.baselines.losses import binary_cross_entropy, one_class_softmax
from audiometry.models.baselines.sampling import balanced_sampler, partners, spread
from audiometry.models.baselines.training import Problem, Trained, TrainingSettings, one_cycle_rate, scores_of, train

QUICK = TrainingSettings(steps=24, batch=16, rate=0.02, evaluate_every=8, threads=1, device="cpu")


def points(seed: int, *, apart: float = 2.0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Trials of two numbers; bona fide lies `apart` from the attacks A and B."""
    generator = np.random.default_rng(seed)
    bona_fide = np.arange(60) % 2 == 0
    attacks = ["" if real else "AB"[number // 2 % 2] for number, real in enumerate(bona_fide)]
    values = generator.standard_normal((60, 2)) + apart * bona_fide[:, None]
    return values.astype(np.float32), bona_fide, attacks


def problem(*, apart: float = 2.0) -> Problem:
    values, bona_fide, attacks = points(0, apart=apart)
    unseen, unseen_real, unseen_attacks = points(1, apart=apart)

    def inputs(chosen: Any, generator: np.random.Generator) -> Any:
        return values[chosen] + generator.normal(0, 0.1, (len(chosen), 2)).astype(np.float32)

    return Problem(inputs, bona_fide, attacks, [unseen[:40], unseen[40:]], unseen_real, unseen_attacks)


def network() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1), nn.Flatten(0))


def trained(lines: list[str] | None = None, *, settings: TrainingSettings = QUICK, **more: Any) -> Trained:
    told: list[str] = [] if lines is None else lines
    return train(
        more.pop("network", None) or network(), binary_cross_entropy, more.pop("problem", None) or problem(),
        seed=more.pop("seed", 0), settings=settings, report=told.append, **more,
    )  # fmt: skip


def same(one: Trained, other: Trained) -> bool:
    return all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_what_is_apart_is_learnt() -> None:
    lines: list[str] = []
    found = trained(lines, settings=replace(QUICK, steps=80), problem=problem(apart=4.0))
    assert float(found.facts["development_macro_eer"]) < 0.03
    assert found.facts["steps"] == "80 of 80"
    assert len([line for line in lines if "development macro EER" in line and "min left" in line]) == 10


def test_what_is_alike_is_not_learnt() -> None:
    found = trained(problem=problem(apart=0.0))
    assert 0.25 < float(found.facts["development_macro_eer"]) < 0.75


def test_the_same_seed_gives_the_same_weights_and_another_one_others() -> None:
    first = trained()
    torch.manual_seed(99)
    assert same(first, trained())
    assert not same(first, trained(seed=1))


def test_the_callers_random_state_is_left_alone() -> None:
    made = network()
    before = torch.random.get_rng_state()
    trained(network=made)
    assert torch.equal(before, torch.random.get_rng_state())


class CutError(Exception):
    pass


def test_a_resumed_training_gives_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    often = replace(QUICK, checkpoint_seconds=0.0)
    undisturbed = trained()
    calls = 0
    whole = problem()

    def inputs(chosen: Any, generator: np.random.Generator) -> Any:
        nonlocal calls
        calls += 1
        if calls == 18:
            raise CutError
        return whole.inputs(chosen, generator)

    with pytest.raises(CutError):
        trained(settings=often, problem=replace(whole, inputs=inputs), checkpoint=checkpoint)
    assert checkpoint.is_file()
    lines: list[str] = []
    resumed = trained(lines, settings=often, checkpoint=checkpoint, resume=True)
    assert lines[0] == "going on after step 17 of 24"
    assert same(undisturbed, resumed)
    assert resumed.facts == undisturbed.facts
    assert not checkpoint.exists()


def test_without_resume_a_checkpoint_is_not_looked_at(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(b"nothing of the kind")
    assert same(trained(), trained(checkpoint=checkpoint))


def test_resuming_without_a_checkpoint_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    trained(lines, checkpoint=tmp_path / "none.safetensors", resume=True)
    assert "none.safetensors" in lines[0]
    assert "anew" in lines[0]


def test_the_time_limit_stops_and_can_be_gone_on_from(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    lines: list[str] = []
    stopped = trained(lines, settings=replace(QUICK, minutes=1e-9), checkpoint=checkpoint)
    assert stopped.facts["steps"] == "1 of 24"
    assert stopped.facts["chosen_step"] == "1"
    assert "time limit after step 1 of 24" in lines[-1]
    assert same(trained(), trained(checkpoint=checkpoint, resume=True))


@pytest.mark.parametrize("stop", [1, 7, 8, 9, 12, 20, 23])
def test_where_the_time_limit_stopped_it_is_not_in_the_weights(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the weights at the stop were the best of all."""
    at: list[int] = []

    class Rates:
        def __init__(self, *_scores: Any) -> None:
            pass

        @property
        def macro(self) -> float:
            return 0.0 if at[0] == stop and stop % QUICK.evaluate_every else 0.3

    whole = problem()

    def inputs(chosen: Any, generator: np.random.Generator) -> Any:
        at[0] += 1
        return whole.inputs(chosen, generator)

    def run(first: int, **more: Any) -> Trained:
        at[:] = [first]
        return trained(problem=replace(whole, inputs=inputs), **more)

    monkeypatch.setattr(training, "equal_error_rate_by_attack", Rates)
    undisturbed = run(0)
    checkpoint = tmp_path / "checkpoint.safetensors"
    ticks = iter(range(10_000))
    with monkeypatch.context() as clock:
        clock.setattr(training.time, "monotonic", lambda: float(next(ticks)))
        often = replace(QUICK, minutes=(stop - 0.5) / 60, checkpoint_seconds=1e9)
        stopped = run(0, settings=often, checkpoint=checkpoint)
    assert (stopped.facts["steps"], stopped.facts["chosen_step"]) == (f"{stop} of 24", str(stop))
    resumed = run(stop, checkpoint=checkpoint, resume=True)
    assert resumed.facts == undisturbed.facts
    assert same(undisturbed, resumed)


def test_too_little_time_is_told_early(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10_000))
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(ticks)))
    lines: list[str] = []
    found = trained(lines, settings=replace(QUICK, minutes=22.5 / 60))
    assert any("minutes will do for about 22 of 24 steps" in line for line in lines)
    assert found.facts["steps"] == "23 of 24"


def test_the_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    trained(settings=replace(QUICK, minutes=1e-9), checkpoint=checkpoint)
    with pytest.raises(SettingError, match="another training"):
        trained(seed=1, checkpoint=checkpoint, resume=True)
    checkpoint.write_bytes(b"cut")
    with pytest.raises(DataError, match="begin anew"):
        trained(checkpoint=checkpoint, resume=True)


def test_the_best_average_is_kept_and_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([0.3, 0.1, 0.2])
    kept: list[dict[str, np.ndarray]] = []

    def macro(*_scores: Any) -> Any:
        class Rates:
            macro = next(errors)

        return Rates

    def watched(module: nn.Module, batches: Any) -> Any:
        kept.append({name: value.numpy().copy() for name, value in module.state_dict().items()})
        return scores_of(module, batches)

    monkeypatch.setattr(training, "equal_error_rate_by_attack", macro)
    monkeypatch.setattr(training, "scores_of", watched)
    found = trained()
    assert found.facts["chosen_step"] == "16"
    assert all(np.array_equal(value, kept[1][name]) for name, value in found.weights.items())
    assert not np.array_equal(found.weights["0.weight"], kept[2]["0.weight"])


def test_a_loss_that_is_no_number_is_told() -> None:
    whole = problem()
    broken = replace(whole, inputs=lambda chosen, generator: whole.inputs(chosen, generator) * np.float32(np.nan))
    with pytest.raises(UserError, match="loss at step 1 is nan"):
        trained(problem=broken)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": 0}, "steps"),
        ({"rate": 0.0}, "rate"),
        ({"minutes": float("nan")}, "minutes"),
        ({"batch": 1}, "batch"),
        ({"average": 1.0}, "average"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        TrainingSettings(**wrong)


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_a_device_that_is_not_here_is_refused(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingError, match="device"):
        trained(settings=replace(QUICK, device=device))


def test_batches_are_balanced_over_classes_and_attacks() -> None:
    bona_fide = np.array([True] * 5 + [False] * 95)
    attacks = [""] * 5 + ["rare"] * 5 + ["common"] * 90
    drawn = balanced_sampler(bona_fide, attacks)(20_000, np.random.default_rng(0))
    assert bona_fide[drawn].sum() == 10_000
    names = np.array(attacks)[drawn]
    assert abs((names == "rare").sum() - 5000) < 300
    assert set(drawn.tolist()) == set(range(100))


def test_trials_of_one_class_are_refused() -> None:
    with pytest.raises(DataError, match="0 bona fide and 3 spoofs"):
        balanced_sampler(np.zeros(3, bool), ["A"] * 3)


def test_partners_are_of_the_same_class_and_each_is_taken_once() -> None:
    bona_fide = np.random.default_rng(3).random(50) < 0.4
    chosen = partners(bona_fide, np.random.default_rng(0))
    assert sorted(chosen.tolist()) == list(range(50))
    assert np.array_equal(bona_fide[chosen], bona_fide)
    assert not np.array_equal(chosen, np.arange(50))


def test_a_part_of_the_trials_has_half_bona_fide_and_alike_many_of_each_attack() -> None:
    bona_fide = np.arange(1000) < 600
    attacks = [""] * 600 + ["A"] * 300 + ["B"] * 90 + ["C"] * 10
    chosen = spread(bona_fide, attacks, 200)
    assert np.all(np.diff(chosen) > 0)
    names = np.array(attacks)[chosen]
    assert [int((names == name).sum()) for name in ("", "A", "B", "C")] == [100, 33, 33, 10]
    assert np.array_equal(spread(bona_fide, attacks, 1000), np.arange(1000))
    assert np.array_equal(chosen, spread(bona_fide, attacks, 200))


def test_the_rate_rises_once_and_falls_once() -> None:
    rates = [one_cycle_rate(step, 101, 0.5) for step in range(101)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == rates[30] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(5e-5)
    assert all(np.diff(rates[:31]) > 0)
    assert all(np.diff(rates[30:]) < 0)
    assert one_cycle_rate(0, 1, 1.0) > 0


def test_cross_entropy_is_that_of_a_softmax_over_two_classes() -> None:
    logits = torch.tensor([[0.3, 1.2], [-0.5, 0.1], [2.0, -1.0]])
    labels = torch.tensor([1, 0, 1])
    ours = binary_cross_entropy(logits[:, 1] - logits[:, 0], labels.float())
    assert torch.allclose(ours, nn.functional.cross_entropy(logits, labels))


def test_one_class_softmax_is_the_papers_formula() -> None:
    loss = one_class_softmax()
    value = loss(torch.tensor([0.8, 0.5]), torch.tensor([1.0, 0.0]))
    by_hand = (math.log1p(math.exp(20 * (0.9 - 0.8))) + math.log1p(math.exp(20 * (0.5 - 0.2)))) / 2
    assert value.item() == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("module", [training, sampling])
def test_the_examples_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
