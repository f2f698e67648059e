from __future__ import annotations

import doctest
import importlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test
from typer.testing import CliRunner

from audiometry.benchmark.compare import Side
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.stats import mean_of, ratio_of_sums
from audiometry.benchmark.types import Audio, FloatArray, Metric, Output, ScoreTable, Task
from audiometry.tasks import commands
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.gaps import as_row, gap_test, group_gaps, run_gaps
from audiometry.tasks.recognition import recognition_task
from audiometry.tasks.robustness import codec_ladder, noise_ladder

WER = Metric("wer", scale="log", events="errors")


def wer(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"wer": ratio_of_sums(table, weights, "errors", "words")}


def mean(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"x": mean_of(table, weights, "x")}


def table_of(clusters: list[int] | None = None, **counts: list[float]) -> ScoreTable:
    size = len(next(iter(counts.values())))
    cluster = np.arange(size) if clusters is None else np.array(clusters)
    columns = {name: np.array(values, float) for name, values in counts.items()}
    return ScoreTable(columns, cluster, np.zeros(size, int), np.zeros(cluster.max() + 1, int))


def real_counts(seed: int, size: int = 540) -> tuple[FloatArray, FloatArray]:
    """Errors in bursts on prompts of very different lengths, as a recogniser makes them."""
    rng = np.random.default_rng(seed)
    words = 1 + rng.negative_binomial(1, 1 / 6, size).astype(float)
    errors = np.minimum(rng.poisson(0.06 * words * rng.gamma(0.5, 2.0, size)), words)
    return errors, words


def test_recordings_of_one_group_each_agree_with_scipys_permutation_test() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0.0, 1.0, 25), rng.normal(0.5, 1.0, 30)
    table = table_of(x=[*first, *second])
    groups = ["a"] * 25 + ["b"] * 30
    ours = gap_test(table, groups, mean, Metric("x"), seed=1, permutations=9999)
    theirs = permutation_test(
        (first, second), lambda x, y: abs(np.mean(x) - np.mean(y)), n_resamples=9999, alternative="greater", rng=2
    )
    assert ours == pytest.approx(theirs.pvalue, abs=0.02)


def test_whole_speakers_change_groups() -> None:
    """Ten speakers, five a group: of 252 ways to choose five of them, those as extreme are counted by hand."""
    levels = [0.0, 0.1, 0.2, 0.3, 1.0, 0.9, 1.1, 1.2, 1.3, 0.4]
    table = table_of([speaker for speaker in range(10) for _ in range(4)], x=[x for x in levels for _ in range(4)])
    groups = [("a" if speaker < 5 else "b") for speaker in range(10) for _ in range(4)]
    total = sum(levels)
    sums = [sum(chosen) for chosen in itertools.combinations(levels, 5)]
    seen = abs(total - 2 * sum(levels[:5]))
    exact = np.mean([abs(total - 2 * one) >= seen - 1e-9 for one in sums])
    found = gap_test(table, groups, mean, Metric("x"), seed=0, permutations=4000)
    assert found == pytest.approx(exact, abs=0.02)
    by_recording = gap_test(table_of(x=table.counts["x"].tolist()), groups, mean, Metric("x"), seed=0)
    assert by_recording < found / 3  # forty recordings taken as independent would claim too much


def test_a_recording_at_two_bandwidths_is_paired() -> None:
    """What is hard is hard in both: pairs show a small difference that unpaired recordings hide."""
    rng = np.random.default_rng(5)
    hard = rng.gamma(1.0, 5.0, 100)
    x = np.concatenate([hard, hard + rng.normal(0.3, 0.5, 100)])
    groups = ["wide"] * 100 + ["narrow"] * 100
    paired = gap_test(table_of([*range(100), *range(100)], x=x.tolist()), groups, mean, Metric("x"), seed=0)
    apart = gap_test(table_of(x=x.tolist()), groups, mean, Metric("x"), seed=0)
    assert paired < 0.01
    assert apart > 0.3


@pytest.mark.slow
def test_halves_of_one_speaker_are_rejected_at_the_nominal_rate_and_a_planted_gap_is_found() -> None:
    """A small form of benchmarks/gap_test.py, which does this with real errors."""
    rng = np.random.default_rng(11)
    rejected = found = 0
    for seed in range(120):
        errors, words = real_counts(seed)
        groups = rng.permutation(np.repeat(["a", "b"], 270))
        planted = errors + rng.binomial(words.astype(int), 0.05) * (groups == "b")
        for wrong in (errors, planted):
            table = table_of(errors=wrong.tolist(), words=words.tolist())
            reject = gap_test(table, groups.tolist(), wer, WER, seed=seed, permutations=199) <= 0.05
            rejected += reject and wrong is errors
            found += reject and wrong is planted
    assert 1 <= rejected <= 14  # of 120; 6 expected, and 99.5 % of all such tests lie between
    assert found >= 90


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_names_and_order_decide_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=60)
    groups = rng.permutation(["a"] * 30 + ["b"] * 30).tolist()
    p = gap_test(table_of(x=x.tolist()), groups, mean, Metric("x"), seed=0, permutations=200)
    assert 1 / 201 <= p <= 1
    renamed = [{"a": "p", "b": "q"}[one] for one in groups]
    assert gap_test(table_of(x=x.tolist()), renamed, mean, Metric("x"), seed=0, permutations=200) == p
    assert gap_test(table_of(x=(3 * x).tolist()), groups, mean, Metric("x"), seed=0, permutations=200) == p


def test_facts_are_corrected_together_and_useless_ones_left_out() -> None:
    errors, words = real_counts(1)
    groups = np.repeat(["f", "m"], 270)
    errors = errors + (groups == "m") * (np.arange(540) % 3 == 0) * words * 0.5
    facts = {
        "gender": groups.tolist(),
        "device": (["near", "far"] * 270),
        "speaker": ["one"] * 540,
        "rare": ["x"] * 5 + ["y"] * 535,
    }
    found = group_gaps(table_of(errors=errors.tolist(), words=words.tolist()), facts, wer, WER, seed=0)
    assert [gap.by for gap in found] == ["gender", "device"]
    gender, device = found
    assert (gender.found.worst, gender.found.best) == ("m", "f")
    assert gender.p_adjusted == pytest.approx(2 * gender.p)
    assert device.p_adjusted == device.p > 0.05
    row = as_row(gender)
    assert row["gap"] == pytest.approx(row["values"]["m"] - row["values"]["f"])
    assert row["low"] <= row["gap"] <= row["high"]


def test_small_groups_and_unnamed_samples_are_left_out() -> None:
    x = [0.0] * 25 + [1.0] * 25 + [100.0] * 3 + [50.0] * 10
    groups = ["a"] * 25 + ["b"] * 25 + ["tiny"] * 3 + [""] * 10
    assert gap_test(table_of(x=x), groups, mean, Metric("x"), seed=0, permutations=999) == 0.001


def test_what_cannot_be_compared_is_said() -> None:
    table = table_of(errors=[1.0] * 40, words=[2.0] * 40)
    with pytest.raises(DataError, match="do not fit 40 samples"):
        gap_test(table, ["a"], wer, WER, seed=0)
    with pytest.raises(DataError, match="1 of 1 groups"):
        gap_test(table, ["a"] * 40, wer, WER, seed=0)
    with pytest.raises(SettingError, match="too few"):
        gap_test(table, ["a", "b"] * 20, wer, WER, seed=0, permutations=10)
    empty = table_of(errors=[1.0] * 40, words=[0.0, 2.0] * 20)
    with pytest.raises(DataError, match="undefined in a group"):
        gap_test(empty, ["a", "b"] * 20, wer, WER, seed=0)
    assert group_gaps(empty, {"g": ["a", "b"] * 20}, wer, WER, seed=0) == []


@pytest.mark.parametrize(
    "name",
    [
        "alignment", "ambiguity", "bias", "gaps", "corpora.audit", "corpora.espeak_speech",
    ],
)  # fmt: skip
def test_examples_of_these_families_run(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(f"audiometry.tasks.{name}"))
    assert tried.attempted > 0
    assert tried.failed == 0


WORDS = "red green blue black"


class Said:
    """Prompts of four words by one speaker."""

    language, notes = "en", ()

    def __init__(self, name: str, clips: int = 40) -> None:
        self.name, self.clips = name, clips

    def utterances(self) -> list[Utterance]:
        audio = Audio("a.wav", seconds=1.0)
        return [Utterance(f"{n}", audio, WORDS, "en", "ann", slices={"half": "ab"[n % 2]}) for n in range(self.clips)]


def kept(folder: Path, *tasks: Task) -> Side:
    """A run in which the louder the noise (the lower the bit rate), the fewer of the four words are heard."""
    rows: list[dict[str, Any]] = []
    for task in tasks:
        for sample in task.samples():
            hard = {"-05 dB": 3, "+00 dB": 2, "opus 6": 3}.get(sample.slices.get("snr", sample.slices.get("codec", "")))
            score = task.score(sample, Output(text=" ".join(str(sample.target).split()[hard or 0 :])))
            rows.append({
                "model": "m", "task": task.name, "sample_id": sample.id, "status": score.status,
                "cluster": sample.cluster, "stratum": "",
                **{f"count.{name}": value for name, value in score.counts.items()},
                **{f"slice.{name}": value for name, value in sample.slices.items()},
            })  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "scores.parquet")
    facts = [{"name": task.name, "spec": task.name, "version": task.version} for task in tasks]
    return Side("r", "m", folder, {"settings": {}, "tasks": facts})


def ladder() -> Task:
    return noise_ladder(Said("asterisk-en"), name="wer-noisy-asterisk-en", noise="white")  # type: ignore[arg-type]


def test_the_steps_of_a_ladder_are_compared_by_the_word_error_rate_of_each(home: Path, tmp_path: Path) -> None:
    codecs = codec_ladder(Said("asterisk-en"), name="wer-codec-asterisk-en")  # type: ignore[arg-type]
    found = run_gaps(kept(tmp_path, ladder(), codecs), by=["snr", "codec", "half"])
    assert {task: [(gap.by, gap.metric) for gap in gaps] for task, gaps in found.items()} == {
        "wer-noisy-asterisk-en": [("snr", "wer"), ("half", "wer_area")],
        "wer-codec-asterisk-en": [("codec", "wer"), ("half", "wer_mean")],
    }
    snr, half = found["wer-noisy-asterisk-en"]
    assert (snr.found.worst, snr.found.gap.value) == ("-05 dB", 0.75)
    assert (snr.found.values["+00 dB"], snr.found.values["clean"]) == (0.5, 0.0)
    assert snr.p < 0.001
    assert (half.found.gap.value, half.p) == (0.0, 1.0)
    codec, _ = found["wer-codec-asterisk-en"]
    assert (codec.found.worst, codec.found.gap.value) == ("opus 6", 0.75)


def test_a_task_without_a_comparison_leaves_the_others_theirs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = recognition_task(Said("asterisk-en", 30), name="wer-asterisk-en")  # type: ignore[arg-type]
    skipped = recognition_task(Said("asterisk-en", 0), name="wer-asterisk-es")  # type: ignore[arg-type]
    side = kept(tmp_path, plain, ladder(), skipped)
    found = run_gaps(side)
    assert [bool(found[name]) for name in side.tasks] == [False, True, False]
    monkeypatch.setattr("audiometry.benchmark.compare.open_side", lambda _: side)
    app = typer.Typer()
    commands.register(app)
    told = CliRunner().invoke(app, ["gaps", "r", "--by", "snr"])
    assert told.exit_code == 0
    assert "wer-asterisk-en has nothing to compare: no slice has two groups of 20 samples" in told.stderr
    assert told.stdout.startswith("wer-noisy-asterisk-en\n")
    with pytest.raises(DataError, match="run r has no slice 'shoe'; it has: "):
        run_gaps(side, by=["snr", "shoe"])
    with pytest.raises(DataError, match=r"wer-asterisk-en: no slice has two groups of 20 samples .*; run more samples"):
        run_gaps(kept(tmp_path, plain))
