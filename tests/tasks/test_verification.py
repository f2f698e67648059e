"""Speaker verification over trials: made embeddings by hand, and VoxCeleb1's layout from end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.columns import Columns, Subject, reduce_columns
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.stats import intervals
from audiometry.benchmark.types import Audio, Output, Result, Sample, ScoreTable, Task
from audiometry.models.adapters.embedding_controls import blind_embeddings, oracle_embeddings
from audiometry.tasks import verification
from audiometry.tasks.corpora.rows import SpeakerUtterance, VerificationTrial
from audiometry.tasks.metrics.detection import equal_error_rate, min_dcf
from audiometry.tasks.metrics.similarity import trial_scores
from audiometry.tasks.verification import COSTS, TrialList, verification_reduce, verification_task

SPEAKERS = ("ann", "bob", "cat", "dan", "eve", "fay")
EACH = 5
HEARD = [
    SpeakerUtterance(f"{who}-{number}", Audio(f"{who}-{number}.wav"), who, slices={"gender": "fm"[place % 2]})
    for place, who in enumerate(SPEAKERS)
    for number in range(EACH)
]
TRIALS = [
    VerificationTrial(one.id, other.id, one.speaker == other.speaker)
    for place, one in enumerate(HEARD)
    for other in HEARD[place + 1 :]
]


def few() -> Task:
    return verification_task(name="few", trials=TRIALS, utterances=HEARD, corpus="made")


def voices(spread: float, seed: int = 3) -> dict[str, np.ndarray]:
    """An embedding of every utterance: its speaker's, and so much of its own."""
    rng = np.random.default_rng(seed)
    middle = {who: rng.normal(size=6) for who in SPEAKERS}
    return {one.id: (middle[one.speaker] + spread * rng.normal(size=6)).astype(np.float32) for one in HEARD}


def embedding(of: Mapping[str, np.ndarray]) -> Callable[[Sample], Output]:
    return lambda one: Output(embedding=of[one.id])


def expected(scores: np.ndarray, target: np.ndarray) -> dict[str, float]:
    kept, others = scores[target], scores[~target]
    costs = {name: min_dcf(kept, others, cost).value for name, cost in COSTS.items()}
    return {"eer": equal_error_rate(kept, others).value, **costs}


def pairs(trials: list[VerificationTrial]) -> tuple[list[tuple[str, str]], np.ndarray]:
    return [(one.enrolment, one.test) for one in trials], np.array([one.target for one in trials])


def test_values_are_those_of_the_plain_metrics(measured: Callable[..., Any]) -> None:
    made = voices(1.0)
    names, target = pairs(TRIALS)
    found = measured(few(), embedding(made))
    assert found.values == pytest.approx(expected(trial_scores(made, names), target))
    assert 0.05 < found.values["eer"] < 0.5
    assert found.statuses == {"ok": 30}


def test_by_hand(measured: Callable[..., Any]) -> None:
    """Cosines 1 and 0 with one speaker, 0.6 and -1 with two: any threshold makes one error of each two at best."""
    made = {"a": [1, 0], "b": [2, 0], "c": [0, 1], "d": [0.6, 0.8], "e": [-1, 0]}
    heard = [SpeakerUtterance(name, Audio("x.wav"), name) for name in made]
    trials = [
        VerificationTrial("a", "b", True), VerificationTrial("a", "c", True),
        VerificationTrial("a", "d", False), VerificationTrial("a", "e", False),
    ]  # fmt: skip
    task = verification_task(name="hand", trials=trials, utterances=heard)
    values = measured(task, embedding({name: np.array(row, np.float32) for name, row in made.items()})).values
    assert values["eer"] == 0.5
    assert values["min_dcf_0.01"] == values["min_dcf_0.05"] == 0.5  # accept above 0.6: half missed, none accepted


def test_controls(measured: Callable[..., Any]) -> None:
    oracle = measured(few(), lambda one: oracle_embeddings().generate([one.request], [one.target])[0])
    assert set(oracle.values.values()) == {0.0}
    blind = measured(few(), lambda one: blind_embeddings().generate([one.request])[0])
    assert set(blind.values.values()) == {1.0}  # all tied: a tie counts against the model
    failing = measured(few(), "failing")
    assert set(failing.values.values()) == {1.0}
    assert failing.statuses == {"error": 30}


def unusable(status: str) -> Output:
    rows = {"zeros": np.zeros(6), "infinite": np.full(6, np.inf), "matrix": np.ones((2, 3)), "none": np.ones(0)}
    if status in rows:
        return Output(embedding=rows[status].astype(np.float32))
    return Output(text="no embedding") if status == "empty" else Output(status="timeout", error="slow")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("zeros", "unparsed"), ("infinite", "unparsed"), ("matrix", "unparsed"), ("none", "unparsed"),
        ("empty", "empty"), ("late", "timeout"),
    ],
)  # fmt: skip
def test_a_failed_utterance_makes_all_its_trials_wrong(answer: str, status: str, measured: Callable[..., Any]) -> None:
    made, broken = voices(0.4), "cat-2"
    found = measured(few(), lambda one: unusable(answer) if one.id == broken else Output(embedding=made[one.id]))
    names, target = pairs(TRIALS)
    hit = np.array([broken in pair for pair in names])
    scores = np.where(hit, np.where(target, -np.inf, np.inf), trial_scores(made, names))
    assert found.values == pytest.approx(expected(scores, target))
    assert found.values["eer"] > measured(few(), embedding(made)).values["eer"]
    assert found.scores[broken].status == status
    assert found.statuses == {"ok": 29, status: 1}


def test_a_resample_repeats_speakers(monkeypatch: pytest.MonkeyPatch) -> None:
    made, task, columns = voices(0.8), few(), Columns()
    for place, one in enumerate(task.samples()):
        columns.append(place, one, "ok", task.score(one, Output(embedding=made[one.id])).counts)
    table = columns.table()
    weights = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 3, 0, 0], [0, 0, 6, 0, 0, 0], [1, 2, 1, 0, 1, 1.0]])
    names, target = pairs(TRIALS)
    scores = trial_scores(made, names)
    place = {who: number for number, who in enumerate(sorted(SPEAKERS))}
    one, other = (np.array([place[pair[side].partition("-")[0]] for pair in names]) for side in (0, 1))
    found = task.reduce(table, weights)
    for row, weight in enumerate(weights):
        times = np.where(target, weight[one], weight[one] * weight[other]).astype(int)
        again = np.repeat(np.arange(len(scores)), times)
        if target[again].all():
            assert all(np.isnan(values[row]) for values in found.values())
            continue
        for name, value in expected(scores[again], target[again]).items():
            assert found[name][row] == pytest.approx(value)
    monkeypatch.setattr(verification, "CELLS", 1)
    monkeypatch.setattr(verification, "GATHERED", 1)
    for name, values in task.reduce(table, weights).items():
        np.testing.assert_allclose(values, found[name])


def results(task: Task, answer: Callable[[Sample], Output]) -> dict[tuple[str, str], Result]:
    columns = Columns()
    for place, one in enumerate(task.samples()):
        score = task.score(one, answer(one))
        columns.append(place, one, score.status, score.counts)
    found = reduce_columns(Subject("r", "m"), task, columns, seed=0, resamples=200, expected=len(columns))
    return {(one.metric, one.slice): one for one in found}


def drawn(rng: np.random.Generator, speakers: int, trials: int, spread: float) -> tuple[np.ndarray, TrialList]:
    """Twenty utterances of each speaker, some speakers steadier than others; every other trial has one speaker."""
    each, size = 20, 16
    unsteady = spread * np.exp(rng.normal(0, 0.3, speakers))
    middle = np.repeat(rng.normal(size=(speakers, size)), each, axis=0)
    embeddings = middle + np.repeat(unsteady, each)[:, None] * rng.normal(size=middle.shape)
    target = np.arange(trials) % 2 == 0
    first = rng.integers(0, speakers * each, trials)
    own = first // each
    within = own * each + (first % each + rng.integers(1, each, trials)) % each
    other = (own + rng.integers(1, speakers, trials)) % speakers * each + rng.integers(0, each, trials)
    return embeddings, TrialList(first, np.where(target, within, other), target, speakers * each)


def coverage(spread: float, trials: int, repeats: int, speakers: int = 40) -> dict[str, tuple[float, float]]:
    """The value in a large population, and the share of intervals that hold it, by metric."""

    def table(embeddings: np.ndarray, number: int) -> ScoreTable:
        rows = len(embeddings)
        columns = {f"embedding_{place}": column for place, column in enumerate(embeddings.T)}
        sizes = np.full(rows, float(embeddings.shape[1]))
        counts = {"utterance": np.arange(rows, dtype=float), "embedded": np.ones(rows), "dimensions": sizes, **columns}
        return ScoreTable(counts, np.repeat(np.arange(number), 20), np.zeros(rows, int), np.zeros(number, int))

    everyone, known = drawn(np.random.default_rng(10_000), 5_000, 400_000, spread)
    scores = (everyone / np.linalg.norm(everyone, axis=1, keepdims=True)).astype(np.float32)
    cosines = np.einsum("ij,ij->i", scores[known.first], scores[known.second])
    truth = expected(cosines, known.target)
    held = dict.fromkeys(truth, 0)
    for seed in range(repeats):
        embeddings, known = drawn(np.random.default_rng(seed), speakers, trials, spread)
        found = intervals(
            table(embeddings, speakers), verification_reduce(known), verification.METRICS, seed=seed, resamples=200
        )
        for name, one in found.items():
            assert one.low is not None
            assert one.high is not None
            held[name] += one.low <= truth[name] <= one.high
    return {name: (truth[name], count / repeats) for name, count in held.items()}


@pytest.mark.slow
def test_intervals_speak_of_other_speakers() -> None:
    for name, (value, share) in coverage(0.8, 2_000, 60).items():
        assert 0.1 < value < 0.9, name
        assert share >= 0.85, name  # three standard errors below 95 %


def test_a_slice_holds_the_trials_within_it() -> None:
    heard = [SpeakerUtterance(f"{one.id}{copy}", one.audio, one.speaker, slices=one.slices)
             for one in HEARD for copy in "xy"]  # fmt: skip
    trials = [VerificationTrial(one.id, two.id, one.speaker == two.speaker)
              for place, one in enumerate(heard) for two in heard[place + 1 :]]  # fmt: skip
    made = {f"{name}{copy}": row for copy, seed in (("x", 3), ("y", 4)) for name, row in voices(0.5, seed).items()}
    found = results(verification_task(name="twice", trials=trials, utterances=heard), embedding(made))
    women = [one for one in trials if {one.enrolment[:3], one.test[:3]} <= {"ann", "cat", "eve"}]
    names, target = pairs(women)
    assert found["eer", "gender=f"].value == pytest.approx(expected(trial_scores(made, names), target)["eer"])
    whole = found["eer", "all"]
    assert whole.low is not None
    assert whole.low < whole.value < whole.high  # type: ignore[operator]
    assert any(note.startswith("1,770 trials of 60 utterances") for note in whole.notes)
    assert "these speakers only" in found["eer", "gender=f"].notes


def test_what_cannot_be_measured_is_told(measured: Callable[..., Any]) -> None:
    same = [one for one in TRIALS if one.target]
    with pytest.raises(DataError, match="of 60 trials 60 have one speaker; an equal error rate needs both"):
        verification_task(name="same", trials=same, utterances=HEARD)
    with pytest.raises(DataError, match="of 0 trials 0 have"):
        verification_task(name="none", trials=[], utterances=HEARD)
    sizes = {one.id: np.ones(3 if one.speaker == "ann" else 4, np.float32) for one in HEARD}
    with pytest.raises(DataError, match="embeddings of 3 and of 4 numbers cannot be compared"):
        measured(few(), embedding(sizes))


# VoxCeleb1's layout: two speakers with two utterances each, of the 37,611 trials of list O


META = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\nid1\tAnn\tf\tUK\ttest\nid2\tEve\tf\tUK\ttest\n"


@pytest.fixture
def voxceleb(tmp_path: Path) -> Path:
    root = tmp_path / "vox1"
    for number, name in enumerate(("id1/v/00001", "id1/w/00001", "id2/v/00001", "id2/w/00001")):
        path = root / "wav" / f"{name}.wav"
        path.parent.mkdir(parents=True)
        tone = 0.1 * np.sin((0.1 + 0.2 * (number // 2)) * np.arange(8000)) * (1 + 0.1 * number)
        soundfile.write(path, tone, 16_000)
    lines = ["1 id1/v/00001 id1/w/00001", "0 id1/v/00001 id2/v/00001", "1 id2/w/00001 id2/v/00001",
             "0 id1/w/00001 id2/w/00001"]  # fmt: skip
    text = "".join("{} {}.wav {}.wav\n".format(*line.split()) for line in lines)
    (root / "veri_test2.txt").write_text(text)
    (root / "list_test_hard2.txt").write_text(text)
    (root / "vox1_meta.csv").write_text(META)
    return root


def asked(root: Path, **more: str) -> Task:
    return TASKS.create(Spec("speaker-verification", tuple(sorted({"path": str(root), **more}.items()))))


def test_the_task_on_voxceleb(voxceleb: Path) -> None:
    task = asked(voxceleb, partial="true")
    assert (task.name, task.settings["corpus"]) == ("speaker-verification-voxceleb1", "voxceleb1/O")
    assert [(one.id, one.target, one.cluster) for one in task.samples()] == [
        ("id1/v/00001", "id1", "id1"), ("id1/w/00001", "id1", "id1"), ("id2/v/00001", "id2", "id2"),
        ("id2/w/00001", "id2", "id2"),
    ]  # fmt: skip
    assert "part of voxceleb1/O: 4 trials found, 37,611 expected" in task.notes
    assert next(iter(task.samples())).slices == {"gender": "female", "nationality": "UK"}
    assert asked(voxceleb, partial="true", split="H").name == "speaker-verification-voxceleb1-H"


def test_errors_on_voxceleb(voxceleb: Path) -> None:
    with pytest.raises(DataError, match="4 trials found, 37,611 expected; set partial=true"):
        asked(voxceleb)
    with pytest.raises(SettingError, match="corpus 'voxceleb1' has no split 'test'"):
        asked(voxceleb, split="test")
    with pytest.raises(DataError, match="corpus 'synthetic-sounds' holds no verification trials; name voxceleb1"):
        TASKS.create(Spec("speaker-verification", (("corpus", "synthetic-sounds"),)))


@pytest.mark.slow
def test_a_run_from_end_to_end(voxceleb: Path, tmp_path: Path, home: Path, ray_here: None) -> None:
    models = ("oracle-embeddings", "blind-embeddings", "mel-statistics")
    done = evaluate(
        RunSettings(models=models, tasks=(f"speaker-verification:path={voxceleb},partial=true",), resamples=200),
        output=tmp_path / "run", quiet=True,
    )  # fmt: skip
    found = {one.model: one.value for one in done.results if (one.metric, one.slice) == ("eer", "all")}
    assert found == {"oracle-embeddings": 0.0, "blind-embeddings": 1.0, "mel-statistics": 0.0}
    assert {one.n for one in done.results} == {4}
