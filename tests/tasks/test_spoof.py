"""Spoof detection on made trial lists."""

from __future__ import annotations

import doctest
import importlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.audio import read
from audiometry.benchmark.columns import Columns, Subject, reduce_columns
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Sample, ScoreTable, Task, Transform
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF, SpoofingTrial
from audiometry.tasks.metrics import calibration, detection, detection_groups, tandem
from audiometry.tasks.spoof import UNNAMED, spoof_plan, spoof_samples, spoof_task
from audiometry.tasks.spoof_asv import tandem_weights
from audiometry.tasks.spoof_conditions import CONDITIONS, balanced
from audiometry.tasks.spoof_reduce import FAILED_LLR, SpoofPlan, spoof_metrics, spoof_reduce, trial_counts

ATTACKS = ("copy", "unit")


def made_trials(speakers: int = 6, each: int = 4, folder: Path | None = None) -> list[SpoofingTrial]:
    """`each` bona fide trials of every speaker, and one spoof of every attack made of each of them."""
    found = []
    for speaker in range(speakers):
        for take in range(each):
            for attack in ("", *ATTACKS):
                name = f"s{speaker}-{take}-{attack or 'human'}"
                path = f"{name}.wav" if folder is None else str(folder / f"{name}.wav")
                found.append(
                    SpoofingTrial(
                        name, Audio(path, seconds=2.0), SPOOF if attack else BONA_FIDE, attack, f"s{speaker}",
                        "female" if speaker % 2 else "male", "",
                        {"language": "en" if speaker < speakers / 2 else "fr", "source": f"p{speaker}-{take}"},
                    )
                )  # fmt: skip
    return found


TRIALS = made_trials()


def few(trials: Sequence[SpoofingTrial] = TRIALS, **more: Any) -> Task:
    return spoof_task(name="few", trials=lambda: trials, by_source=True, **more)


def scored(seed: int = 1, shift: float = 2.0) -> Callable[[Sample], Output]:
    def answer(sample: Sample) -> Output:
        drawn = np.random.default_rng([seed, *sample.id.encode()]).normal()
        return Output(score=float(drawn + (shift if sample.target == "bonafide" else 0.0)))

    return answer


def table_of(task: Task, answer: Callable[[Sample], Output]) -> ScoreTable:
    columns = Columns()
    for place, sample in enumerate(task.samples()):
        score = task.score(sample, answer(sample))
        columns.append(place, sample, score.status, score.counts)
    return columns.table()


def test_every_number_is_that_of_the_plain_functions(measured: Callable[..., Any]) -> None:
    task, answer = few(), scored()
    samples = list(task.samples())
    score = {one.id: answer(one).score for one in samples}
    kept = [score[one.id] for one in samples if one.target == "bonafide"]
    spoofs = [(score[one.id], one.target) for one in samples if one.target != "bonafide"]
    plain = detection.detection_metrics(kept, [s for s, _ in spoofs])
    by_attack = detection_groups.equal_error_rate_by_attack(kept, [s for s, _ in spoofs], [a for _, a in spoofs])
    values = measured(task, answer).values
    assert values["eer"] == plain.eer.value
    assert values["eer_macro"] == pytest.approx(by_attack.macro)
    assert values["eer_worst"] == by_attack.worst
    for attack in ATTACKS:
        assert values[f"eer-{attack}"] == by_attack.groups[attack].value
    assert values["min_dcf"] == pytest.approx(plain.min_dcf.value)
    assert values["actual_dcf"] == pytest.approx(plain.actual_dcf)
    assert values["cllr"] == pytest.approx(plain.cllr)
    assert values["min_cllr"] == pytest.approx(calibration.min_cllr(kept, [s for s, _ in spoofs]))
    rejected = np.mean(np.array(kept) < detection.ASVSPOOF5_COSTS.bayes_threshold)
    assert values["bayes_false_rejections"] == pytest.approx(rejected)
    women = [score[one.id] for one in samples if one.target == "bonafide" and one.slices["gender"] == "female"]
    assert values["false_rejections-gender-female"] == np.mean(np.array(women) <= plain.eer.threshold)
    threshold = sorted(kept)[0]  # 24 bona fide trials: one of them is over 1 %
    assert values["false_alarms_at_1_percent_miss"] == np.mean([s >= threshold for s, _ in spoofs])


def test_the_headline_is_first_and_names_are_known_before_any_answer() -> None:
    names = [metric.name for metric in few().metrics]
    assert names[:5] == ["eer_macro", "eer_worst", "eer", "eer-copy", "eer-unit"]
    assert [name for name in names if name.startswith("false_rejections")] == [
        f"false_rejections-{group}" for group in ("gender-female", "gender-male", "language-en", "language-fr")
    ]


trial = st.tuples(st.integers(-1, 2), st.integers(-3, 3), st.integers(0, 4))


@settings(max_examples=60, deadline=None)
@given(st.lists(trial, min_size=2, max_size=25), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_weights_mean_what_repeating_the_trials_means(rows: list[tuple[int, int, int]], repeats: list[int]) -> None:
    """Against the unweighted functions on the repeated trials, with ties, clusters left out, and lone classes."""
    asv = tandem.AsvErrorRates(0.02, 0.03, 0.4)
    plan = SpoofPlan(("a", "b", "c"), ("gender-x",), tandem=tandem_weights(asv, "2021"))
    counts = [
        trial_counts(plan, "" if kind < 0 else plan.attacks[kind], ("gender-x",) if cluster < 2 else (), score)
        for kind, score, cluster in rows
    ]
    cluster = np.array([cluster for _, _, cluster in rows])
    columns = {name: np.array([one[name] for one in counts]) for name in counts[0]}
    table = ScoreTable(columns, cluster, np.zeros(len(rows), int), np.zeros(5, int))
    found = spoof_reduce(plan)(table, np.array([repeats], float))
    assert set(found) == {metric.name for metric in spoof_metrics(plan)}
    values = {name: value[0] for name, value in found.items()}
    again = [row for row in rows for _ in range(repeats[row[2]])]
    kept = [float(score) for kind, score, _ in again if kind < 0]
    spoofs = [float(score) for kind, score, _ in again if kind >= 0]
    both = ("eer", "min_dcf", "actual_dcf", "cllr", "min_cllr", "min_tdcf", "false_alarms_at_1_percent_miss")
    if not kept or not spoofs:
        assert all(np.isnan(values[name]) for name in both)
        return
    plain = detection.detection_metrics(kept, spoofs)
    assert values["eer"] == plain.eer.value
    assert values["min_dcf"] == pytest.approx(plain.min_dcf.value)
    assert values["actual_dcf"] == pytest.approx(plain.actual_dcf)
    assert values["cllr"] == pytest.approx(plain.cllr)
    assert values["min_cllr"] == pytest.approx(calibration.min_cllr(kept, spoofs), abs=1e-9)
    assert values["min_tdcf"] == pytest.approx(tandem.min_tdcf(kept, spoofs, asv).value)
    allowed = [t for t in (-9, *kept, *spoofs) if np.mean(np.array(kept) <= t) <= 0.01]
    at = min(np.mean(np.array(spoofs) > t) for t in allowed)
    assert values["false_alarms_at_1_percent_miss"] == pytest.approx(at)
    own = {
        kind: detection.equal_error_rate(kept, [float(s) for k, s, _ in again if k == kind]).value
        for kind in {k for k, _, _ in again if k >= 0}
    }
    assert values["eer_macro"] == pytest.approx(np.mean(list(own.values())))
    assert values["eer_worst"] == max(own.values())
    for kind, name in enumerate(plan.attacks):
        assert values[f"eer-{name}"] == own.get(kind, np.nan) or kind not in own


def test_the_legacy_tandem_cost_too() -> None:
    asv = tandem.AsvErrorRates(0.02, 0.03, 0.4)
    plan = SpoofPlan(("a",), tandem=tandem_weights(asv, "2019"))
    kept, spoofs = [0.0, 1.0, 2.0, 2.0], [-1.0, 0.5, 1.5]
    counts = [trial_counts(plan, "", (), s) for s in kept] + [trial_counts(plan, "a", (), s) for s in spoofs]
    columns = {name: np.array([one[name] for one in counts]) for name in counts[0]}
    table = ScoreTable(columns, np.arange(7), np.zeros(7, int), np.zeros(7, int))
    value = spoof_reduce(plan)(table, np.ones((1, 7)))["min_tdcf"][0]
    assert value == pytest.approx(tandem.min_tdcf_legacy(kept, spoofs, asv).value)
    with pytest.raises(DataError, match="no t-DCF"):
        tandem_weights(tandem.AsvErrorRates(0.0, 0.0, 0.0), "2019")


def test_controls(measured: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    oracle = measured(few(), "oracle").values
    assert {oracle[name] for name in ("eer", "eer_macro", "eer_worst", "min_dcf", "min_cllr")} == {0.0}
    assert (oracle["actual_dcf"], oracle["cllr"]) == (1.0, pytest.approx(0.726, abs=1e-3))  # 1 and 0 are no ratios
    constant = measured(few(), lambda _: Output(score=0.0)).values
    assert {constant[name] for name in ("eer", "eer_macro", "eer_worst")} == {1.0}  # ASVspoof's rule of ties
    assert {constant[name] for name in ("min_dcf", "cllr", "min_cllr", "false_alarms_at_1_percent_miss")} == {1.0}
    shuffled = measured(few(made_trials(24, 10)), "shuffled").values
    assert 0.3 < shuffled["eer"] < 0.8
    assert not caplog.records


def test_a_failure_is_wrong_at_every_threshold(measured: Callable[..., Any]) -> None:
    for output, status in (
        (Output(status="error", error="broken"), "error"),
        (Output(status="timeout"), "timeout"),
        (Output(status="empty"), "empty"),
        (Output(), "unparsed"),
        (Output(score=float("nan")), "unparsed"),
    ):
        values = measured(few(), lambda _, output=output: output)
        assert values.statuses == {status: len(TRIALS)}
        assert {values.values[name] for name in ("eer", "eer_macro", "eer_worst", "bayes_false_rejections")} == {1.0}
        assert values.values["cllr"] == pytest.approx(np.log2(1 + np.exp(FAILED_LLR)))
    lost = "s0-0-human"
    perfect = scored(shift=40.0)
    found = measured(few(), lambda one: Output(status="error") if one.id == lost else perfect(one))
    assert found.values["eer"] == pytest.approx(1 / 24)  # one miss of 24, and 2 of 48 spoofs let through
    assert found.values["bayes_false_rejections"] == pytest.approx(1 / 24)
    without = [one for one in TRIALS if one.id != lost]
    assert measured(few(without), perfect).values["eer"] == 0.0


def test_what_is_wrong_with_a_score_is_told(measured: Callable[..., Any]) -> None:
    scores = measured(few(), lambda _: Output(score=float("nan"))).scores
    assert "the score is nan; a detector gives a finite number" in scores["s0-0-copy"].details["wrong"]
    scores = measured(few(), lambda _: Output()).scores
    assert "the answer has no score" in scores["s0-0-copy"].details["wrong"]


def test_inverted_scores_are_told_once_with_the_mend(caplog: pytest.LogCaptureFixture) -> None:
    task, answer = few([replace(one, codec="none") for one in TRIALS]), scored(shift=-2.0)  # a slice of all trials
    columns = Columns()
    for place, sample in enumerate(task.samples()):
        score = task.score(sample, answer(sample))
        columns.append(place, sample, score.status, score.counts)
    subject = Subject(run="r", model="m")
    with caplog.at_level(logging.WARNING, "audiometry.spoof"):
        results = reduce_columns(subject, task, columns, seed=0, resamples=100, expected=len(columns))
    assert len(caplog.records) == 1
    assert "task few: scores look inverted" in caplog.text
    assert "negate them" in caplog.text
    found = {(one.metric, one.slice): one for one in results}
    assert found["eer", "all"].value > 0.5  # type: ignore[operator]
    assert found["eer", "gender=female"].value is not None
    assert found["eer_macro", "all"].low < found["eer_macro", "all"].value < found["eer_macro", "all"].high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("trials", "told"),
    [
        ([], "the trial list is empty"),
        ([one for one in TRIALS if one.label == SPOOF], "all 48 trials are spoof; an equal error rate needs bona fide"),
        ([one for one in TRIALS if one.label == BONA_FIDE], "all 24 trials are bona fide; an equal error rate needs"),
    ],
)
def test_lists_without_an_error_rate(trials: list[SpoofingTrial], told: str) -> None:
    with pytest.raises(DataError, match=told):
        few(trials)


def test_slices_of_one_class_are_undefined_but_for_rejections() -> None:
    task = few()
    table = table_of(task, scored())
    kept = table.counts["bona_fide"] > 0
    part = ScoreTable(
        {name: column[kept] for name, column in table.counts.items()},
        np.arange(kept.sum()), np.zeros(kept.sum(), int), np.zeros(kept.sum(), int),
    )  # fmt: skip
    values = {name: value[0] for name, value in task.reduce(part, np.ones((1, kept.sum()))).items()}
    assert 0 <= values.pop("bayes_false_rejections") <= 1
    assert np.isnan(list(values.values())).all()


def test_clusters_strata_and_slices() -> None:
    one = next(iter(spoof_samples(TRIALS, by_source=True)))
    assert (one.cluster, one.stratum, one.target) == ("p0-0", "bona fide", "bonafide")
    assert one.slices == {"language": "en", "gender": "male"}
    two = list(spoof_samples(TRIALS))[1]
    assert (two.cluster, two.stratum, two.target) == ("s0", "spoof: copy", "copy")
    many = next(iter(spoof_samples(made_trials(20, 1), by_source=True)))
    assert many.cluster == "s0"
    anonymous = [replace(trial, speaker="", attack="", codec="opus") for trial in TRIALS]
    three = list(spoof_samples(anonymous, slices={"condition": "none"}))[1]
    assert (three.cluster, three.target) == (three.id, UNNAMED)
    assert three.slices == {"language": "en", "source": "p0-0", "gender": "male", "codec": "opus", "condition": "none"}
    assert spoof_plan("few", anonymous).attacks == (UNNAMED,)


class MadeCorpus:
    """As the embedded corpus: what it was asked for, and trials on files that are there."""

    notes = ("two speakers",)

    def __init__(self, trials: list[SpoofingTrial]) -> None:
        self.made, self.asked = trials, []

    def trials(self, split: str, level: str = "E4") -> list[SpoofingTrial]:
        self.asked.append((split, level))
        return self.made


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeCorpus:
    import sys
    import types

    for number, one in enumerate(made_trials(2, 2)):
        tone = 0.1 * np.sin(np.arange(32_000) * (0.05 + number / 100))
        soundfile.write(tmp_path / f"{one.id}.wav", tone, 16_000)
    corpus = MadeCorpus(made_trials(2, 2, tmp_path))
    name = "audiometry.tasks.corpora.spoof.embedded"
    module = types.ModuleType(name)
    module.open_embedded = lambda: corpus  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    return corpus


def test_the_embedded_task_names_protocol_and_level(embedded: MadeCorpus, measured: Callable[..., Any]) -> None:
    task = TASKS.create(Spec("spoof-embedded"))
    assert (task.name, embedded.asked) == ("spoof-embedded", [("unseen-attack", "E4")])
    assert (task.settings["level"], task.notes) == ("E4", ("two speakers",))
    other = TASKS.create(Spec("spoof-embedded", (("level", "E1"), ("protocol", "seen-attack"))))
    assert (other.name, embedded.asked[-1]) == ("spoof-embedded-seen-attack-E1", ("seen-attack", "E1"))
    assert measured(task, "oracle").values["eer_macro"] == 0.0
    with pytest.raises(SettingError, match="E7"):
        TASKS.create(Spec("spoof-embedded", (("level", "E7"),)))


def test_robustness_hears_every_trial_in_every_condition(embedded: MadeCorpus, measured: Callable[..., Any]) -> None:
    task = TASKS.create(Spec("spoof-robustness", (("trials", "8"),)))
    samples = list(task.samples())
    assert len(samples) == 8 * (1 + len(CONDITIONS))
    by_condition = {one.slices["condition"]: one for one in samples if one.id.startswith(samples[0].id.split("@")[0])}
    assert len({one.cluster for one in by_condition.values()}) == 1
    plain = read(by_condition["none"].request.audios["input"]).samples
    for label in CONDITIONS:
        changed = read(by_condition[label].request.audios["input"])
        assert changed.rate != 16_000 or not np.array_equal(changed.samples, plain)
    assert measured(task, "oracle").values["eer_macro"] == 0.0
    assert task.name == "spoof-robustness-unseen-attack-E4"


def test_balanced_takes_as_many_of_each_attack() -> None:
    chosen = balanced(TRIALS, 16)
    assert [sum(one.attack == name for one in chosen) for name in ("", *ATTACKS)] == [8, 4, 4]
    assert chosen == sorted(chosen, key=TRIALS.index)
    assert balanced(TRIALS, 0) == TRIALS
    for number in (-1, 3):
        with pytest.raises(SettingError, match="too few for 2 attacks"):
            balanced(TRIALS, number)


def test_latency_in_milliseconds(embedded: MadeCorpus, measured: Callable[..., Any]) -> None:
    task = TASKS.create(Spec("spoof-latency"))
    assert task.exclusive
    found = measured(task, lambda _: Output(score=1.0, timings={"total": 0.05})).values
    assert found["milliseconds_a_trial"] == pytest.approx(50.0)
    assert found["rtfx"] == pytest.approx(2.0 / 0.05)
    assert found["latency_p50"] == pytest.approx(0.05)
    failed = measured(task, lambda _: Output(status="error")).values
    assert np.isnan(list(failed.values())).all()
    whole = TASKS.create(Spec("spoof-latency", (("level", "E1"), ("trials", "3"))))
    assert [one.request.audios["input"].seconds for one in whole.samples()] == [2.0] * 3
    with pytest.raises(SettingError, match="1 or more"):
        TASKS.create(Spec("spoof-latency", (("trials", "0"),)))


def test_at_e1_the_length_is_that_of_what_is_heard(embedded: MadeCorpus, measured: Callable[..., Any]) -> None:
    steps = (Transform("spoof-equalisation", (("level", "E1"), ("target", ""), ("version", "2")), 1),)
    for one in embedded.made:
        tone = 0.1 * np.sin(np.arange(32_000) * 0.05)
        soundfile.write(one.audio.path, np.concatenate([np.zeros(8_000), tone, np.zeros(16_000)]), 16_000)
    embedded.made = [replace(one, audio=replace(one.audio, seconds=3.5, transforms=steps)) for one in embedded.made]
    task = TASKS.create(Spec("spoof-latency", (("level", "E1"),)))
    found = measured(task, lambda _: Output(score=1.0, timings={"total": 0.05})).values
    assert found["rtfx"] == pytest.approx(2.0 / 0.05)
    lost = next(iter(task.samples()))
    Path(lost.request.audios["input"].path).write_bytes(b"damaged")
    assert task.score(lost, Output(score=1.0, timings={"total": 0.05})).counts["audio"] == 3.5
    assert task.score(lost, Output(status="error")).counts["audio"] == 0.0


@pytest.mark.parametrize("name", ["spoof_reduce", "spoof_asv", "spoof_scores"])
def test_examples_run(name: str) -> None:
    tried = doctest.testmod(importlib.import_module(f"audiometry.tasks.{name}"))
    assert tried.attempted > 0
    assert tried.failed == 0
