from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.compare import open_side
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.stats import intervals
from audiometry.benchmark.types import Audio, Output, ScoreTable, Task
from audiometry.tasks import commands
from audiometry.tasks.bias import FACTS, bias_task, group_metrics, reduce_groups
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.gaps import run_gaps


def listed(folder: Path, speakers: int = 12, each: int = 5) -> Path:
    """Speakers of two genders and three ages, on one silent file."""
    soundfile.write(folder / "a.wav", np.zeros(16000), 16000)
    rows = ["audio,text,id,speaker,gender,age,language"]
    for speaker in range(speakers):
        facts = f"{'fm'[speaker % 2]},{'abc'[speaker % 3]},en"
        rows += [f"a.wav,fish swim under water,{speaker}-{clip},s{speaker},{facts}" for clip in range(each)]
    path = folder / "list.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def made(path: Path, **settings: str) -> Task:
    return TASKS.create(Spec("bias", tuple(sorted({"path": str(path), **settings}.items()))))


def scored(task: Task, wrong: dict[str, str]) -> ScoreTable:
    """Answers that are wrong in the last word for the groups named, and right else."""
    columns = Columns()
    for place, sample in enumerate(task.samples()):
        bad = any(sample.slices.get(fact) == group for fact, group in wrong.items())
        score = task.score(sample, Output(text="fish swim under" if bad else "fish swim under water"))
        columns.append(place, sample, score.status, score.counts)
    return columns.table()


def values(task: Task, table: ScoreTable) -> dict[str, float]:
    return {name: float(one[0]) for name, one in task.reduce(table, np.ones((1, table.clusters))).items()}


def test_the_worst_group_and_the_gaps_by_hand(tmp_path: Path) -> None:
    task = made(listed(tmp_path), by="gender+age+device")
    assert [metric.name for metric in task.metrics] == [
        "worst_group_wer", "wer", "gap_gender", "gap_age", "gap_device",
    ]  # fmt: skip
    found = values(task, scored(task, {"gender": "m"}))
    assert found["wer"] == pytest.approx(1 / 8)
    assert found["worst_group_wer"] == pytest.approx(1 / 4)
    assert found["gap_gender"] == pytest.approx(1 / 4)
    assert abs(found["gap_age"]) <= 1 / 4
    assert np.isnan(found["gap_device"])


def test_oracle_and_silence(tmp_path: Path) -> None:
    task = made(listed(tmp_path), by="gender+age")
    best = values(task, scored(task, {}))
    assert best == {"worst_group_wer": 0.0, "wer": 0.0, "gap_gender": 0.0, "gap_age": 0.0}
    columns = Columns()
    for place, sample in enumerate(task.samples()):
        score = task.score(sample, Output(status="timeout"))
        assert score.status == "timeout"
        columns.append(place, sample, score.status, score.counts)
    worst = values(task, columns.table())
    assert (worst["worst_group_wer"], worst["wer"], worst["gap_gender"]) == (1.0, 1.0, 0.0)


def test_halves_are_strata_and_speakers_stay_whole(tmp_path: Path) -> None:
    samples = list(made(listed(tmp_path), by="gender").samples())
    halves = {sample.cluster: sample.stratum for sample in samples}
    assert len(halves) == 12
    assert sorted(halves.values()) == ["a"] * 6 + ["b"] * 6
    assert all(halves[sample.cluster] == sample.stratum for sample in samples)


def test_few_speakers_make_recordings_the_clusters(tmp_path: Path) -> None:
    samples = list(made(listed(tmp_path, speakers=2, each=30), by="gender").samples())
    assert len({sample.cluster for sample in samples}) == 60


@dataclass(frozen=True)
class Prompts:
    """A corpus of one speaker's prompts, with pitches of its own."""

    name: str
    language: str = "en"
    licence: str = "none"
    citation: str = ""
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def ready(self) -> bool:
        return True

    def prepare(self, source: str | None, report: Callable[[str], None]) -> None: ...

    def describe(self) -> dict[str, str]:
        return {}

    def utterances(self) -> list[Utterance]:
        return [Utterance(f"{self.name}/{n}", Audio(f"{n}.wav"), "fish swim", self.language, "ann") for n in range(30)]


def test_both_qualities_of_a_recording_are_one_cluster_and_two_languages_are_not() -> None:
    corpora = [Prompts("asterisk-en"), Prompts("asterisk-en-telephone"), Prompts("asterisk-es", "es")]
    samples = list(bias_task(corpora, name="x", by=["device", "language"]).samples())
    assert len(samples) == 90
    assert len({sample.cluster for sample in samples}) == 60
    devices = {sample.id: sample.slices["device"] for sample in samples}
    assert devices["asterisk-en/3"] == "wideband"
    assert devices["asterisk-en-telephone/3"] == "telephone"
    assert len({sample.cluster for sample in samples if sample.id.endswith("/3")}) == 2


def test_a_number_of_clips_takes_recordings_with_all_their_devices() -> None:
    corpora = [Prompts("asterisk-en"), Prompts("asterisk-en-telephone")]
    few, more = ([one.id for one in bias_task(corpora, name="x", by=["device"], clips=n).samples()] for n in (4, 9))
    assert (len(few), len(more)) == (8, 18)
    assert set(few) < set(more)
    assert {one.partition("/")[2] for one in few[:4]} == {one.partition("/")[2] for one in few[4:]}
    with pytest.raises(SettingError, match="'clips': -1 is negative"):
        bias_task(corpora, name="x", by=["device"], clips=-1)


@pytest.mark.slow
def test_equal_groups_have_no_gap_on_average_and_intervals_that_say_so() -> None:
    """300 simulations of six equal groups: picked on the same data, the gap would be far from 0 in all of them."""
    rng = np.random.default_rng(4)
    reduce, metric = reduce_groups(["accent"]), group_metrics(["accent"])[2]
    gaps, covered, naive = [], 0, []
    for seed in range(300):
        speaker = np.repeat(np.arange(60), 5)
        errors = rng.poisson(rng.gamma(4.0, 0.25, 60)[speaker]).astype(float)
        counts = {"errors": errors, "reference": np.full(300, 10.0), "by_accent": 1.0 + speaker % 6}
        half = (np.arange(60) // 6) % 2
        table = ScoreTable(counts, speaker, half[speaker], half)
        found = intervals(table, reduce, [metric], seed=seed, resamples=200)["gap_accent"]
        gaps.append(found.value)
        covered += found.low <= 0 <= found.high
        rates = [errors[speaker % 6 == group].sum() / 500 for group in range(6)]
        naive.append(max(rates) - min(rates))
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(300)
    assert min(naive) > 0
    assert 0.92 <= covered / 300 <= 0.995


def test_bad_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="bias:path=FILE"):
        TASKS.create(Spec("bias"))
    with pytest.raises(SettingError, match="'shoe'; give some of: gender"):
        made(listed(tmp_path), by="shoe")
    with pytest.raises(SettingError, match="nothing"):
        bias_task([], name="x", by=[])


def test_every_registered_task_can_be_made() -> None:
    assert TASKS.create(Spec("bias-matched-voices")).notes == ("synthetic speech",)
    assert TASKS.create(Spec("bias-device-en")).settings["corpus"] == "asterisk-en+asterisk-en-telephone"
    assert TASKS.create(Spec("bias-languages")).settings["by"] == "language+gender"
    assert set(FACTS) == {"gender", "accent", "language", "age", "device", "rate", "pitch"}


@pytest.mark.slow
def test_the_gaps_of_a_run(tmp_path: Path, home: Path, ray_here: None) -> None:
    path = listed(tmp_path)
    answers = tmp_path / "answers.jsonl"
    task = made(path, by="gender+age")
    rows = [
        {"id": sample.id, "text": "fish swim under" if sample.slices["gender"] == "m" else "fish swim under water"}
        for sample in task.samples()
    ]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = f"bias:path={path},by=gender+age"
    evaluate(
        RunSettings(models=(f"outputs:path={answers}",), tasks=(spec,), resamples=200),
        output=tmp_path / "run",
        quiet=True,
    )
    side = open_side(str(tmp_path / "run"))
    (lines,) = run_gaps(side).values()
    gender = next(gap for gap in lines if gap.by == "gender")
    assert (gender.metric, gender.found.worst, round(gender.found.gap.value, 4)) == ("wer", "m", 0.25)
    assert gender.p < 0.01
    with pytest.raises(DataError, match="has no slice 'shoe'; it has: age, "):
        run_gaps(side, by=["shoe"])
    app = typer.Typer()
    commands.register(app)
    told = CliRunner().invoke(app, ["gaps", str(tmp_path / "run"), "--by", "gender,age"])
    assert told.exit_code == 0
    assert "m 0.2500" in told.stdout
    rows = json.loads(CliRunner().invoke(app, ["gaps", str(tmp_path / "run"), "--json", "--by", "gender"]).stdout)
    assert [(row["by"], row["worst"]) for row in rows] == [("gender", "m")]
