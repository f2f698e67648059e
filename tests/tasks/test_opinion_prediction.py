"""A model's ratings against people's: made scores by hand, and the layouts of BVCC and SOMOS from end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Task
from audiometry.tasks.corpora.rows import RatedUtterance, Rating
from audiometry.tasks.metrics.mos_prediction import prediction_agreement
from audiometry.tasks.opinion_prediction import METRICS, prediction_task

OPINIONS = {"a": (1.0, 2.0, 2.5), "b": (2.0, 3.0, 3.5), "c": (4.0, 5.0, 3.0)}
ROWS = [
    RatedUtterance(f"{system}-{place}", Audio(f"{system}-{place}.wav"), system, str(place), (Rating("r", mean),))
    for system, means in OPINIONS.items()
    for place, mean in enumerate(means)
]
SAID = {row.id: value for row, value in zip(ROWS, (2.0, 1.0, 3.0, 3.0, 2.0, 4.0, 3.5, 5.0, 4.5), strict=True)}


def few() -> Task:
    return prediction_task(name="few", rows=ROWS, corpus="made", language="en")


def test_values_are_those_of_the_plain_metrics(measured: Callable[..., Any]) -> None:
    found = measured(few(), lambda one: Output(score=SAID[one.id])).values
    plain = prediction_agreement([row.system for row in ROWS], list(SAID.values()), [row.mos for row in ROWS])
    assert found == pytest.approx({**plain, "unanswered": 0.0})
    assert 0 < found["utterance_srcc"] < 1
    sample = next(iter(few().samples()))
    assert (sample.request.ability, list(sample.request.audios), sample.request.language) == (
        "rate",
        ["candidate"],
        "en",
    )
    assert (sample.target, sample.cluster) == (1.0, "a")


def test_controls(measured: Callable[..., Any]) -> None:
    oracle = measured(few(), "oracle").values
    assert oracle == {metric.name: pytest.approx(0.0 if metric.direction == "lower" else 1.0) for metric in METRICS}
    assert measured(few(), "shuffled").values["utterance_lcc"] < 0.9
    constant = measured(few(), lambda _: Output(score=3.0)).values
    assert all(np.isnan(value) for name, value in constant.items() if name.endswith(("srcc", "lcc", "ktau")))
    for control, status in (("silent", "empty"), ("failing", "error")):
        found = measured(few(), control)
        assert found.values.pop("unanswered") == 1.0
        assert all(np.isnan(value) for value in found.values.values())
        assert found.statuses == {status: 9}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Output(status="error", error="broken"), "error"),
        (Output(status="empty"), "empty"),
        (Output(text="good"), "unparsed"),
        (Output(score=float("nan")), "unparsed"),
        (Output(status="refused", score=4.0), "refused"),
    ],
    ids=["failed", "silent", "in-words", "not-finite", "refused"],
)
def test_a_sample_without_a_score_is_told(answer: Output, status: str, measured: Callable[..., Any]) -> None:
    found = measured(few(), lambda one: answer if one.id == "b-1" else Output(score=SAID[one.id]))
    kept = [row for row in ROWS if row.id != "b-1"]
    plain = prediction_agreement(
        [row.system for row in kept], [SAID[row.id] for row in kept], [row.mos for row in kept]
    )
    assert found.values == pytest.approx({**plain, "unanswered": 1 / 9})
    assert found.scores["b-1"].status == status
    assert found.scores["b-1"].details == {"people": "3", "system": "b"}


def test_nothing_to_agree_with() -> None:
    with pytest.raises(DataError, match="nobody rated anything"):
        prediction_task(name="none", rows=[])
    with pytest.raises(SettingError, match="opinion-prediction:corpus=somos"):
        TASKS.check(Spec("opinion-prediction"))
    with pytest.raises(SettingError, match="opinion-prediction:corpus=somos"):
        TASKS.create(Spec("opinion-prediction"))
    with pytest.raises(DataError, match="holds no ratings by people; name voicemos-bvcc or somos"):
        TASKS.create(Spec("opinion-prediction", (("corpus", "synthetic-sounds"),)))


def sound(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(8000) / 5), 16_000)


@pytest.fixture
def bvcc(tmp_path: Path) -> Path:
    """Six of the 1,066 utterances of each set, by three systems."""
    root = tmp_path / "DATA"
    lines = []
    for system, rating in (("sysa", 2), ("sysb", 3), ("sysc", 5)):
        for place, less in (("utt1", 0), ("utt2", 1)):
            name = f"{system}-{place}"
            lines.append(f"{system},{name}.wav,{rating - less},x_1,{{}}_30-39_l{less}_Female_Valid_1_No")
            sound(root / "wav" / f"{name}.wav")
    (root / "sets").mkdir()
    for name in ("TESTSET", "DEVSET"):
        (root / "sets" / name).write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def somos(tmp_path: Path) -> Path:
    """Four utterances, of a person and of a system."""
    lines = ["systemId,utteranceId,choice,listenerId"]
    for system, choice in (("000", 5), ("015", 3)):
        for number in range(2):
            lines.append(f"{system},novel_{number}_{system}.wav,{choice - number},ann")
            sound(tmp_path / "audios" / f"novel_{number}_{system}.wav")
    for kind in ("clean", "full"):
        place = tmp_path / "training_files" / "split1" / kind
        place.mkdir(parents=True)
        (place / "TESTSET").write_text("\n".join(lines) + "\n")
    return tmp_path


def made(corpus: str, folder: Path, **more: str) -> Task:
    given = {"corpus": corpus, "path": str(folder), **more}
    return TASKS.create(Spec("opinion-prediction", tuple(sorted(given.items()))))


def test_the_task_on_bvcc(bvcc: Path, measured: Callable[..., Any]) -> None:
    with pytest.raises(DataError, match="6 utterances found, 1,066 expected; set partial=true"):
        made("voicemos-bvcc", bvcc)
    task = made("voicemos-bvcc", bvcc, partial="true")
    assert (task.name, task.settings["corpus"]) == ("opinion-prediction-voicemos-bvcc", "voicemos-bvcc/test")
    assert task.notes[-1] == "3 systems"
    assert "part of voicemos-bvcc/test: 6 utterances found, 1,066 expected" in task.notes
    assert measured(task, "oracle").values["system_srcc"] == 1.0
    assert made("voicemos-bvcc", bvcc, partial="true", split="dev").name == "opinion-prediction-voicemos-bvcc-dev"


def test_the_task_on_somos(somos: Path) -> None:
    task = made("somos", somos)  # the clean splits have no published count here
    assert [(one.id, one.target, one.slices["speech"]) for one in task.samples()] == [
        ("novel_0_000", 5.0, "natural"), ("novel_1_000", 4.0, "natural"),
        ("novel_0_015", 3.0, "synthetic"), ("novel_1_015", 2.0, "synthetic"),
    ]  # fmt: skip
    with pytest.raises(DataError, match="4 utterances found, 3,000 expected"):
        made("somos", somos, split="full-test")


@pytest.mark.slow
def test_a_run_from_end_to_end(bvcc: Path, tmp_path: Path, home: Path, ray_here: None) -> None:
    spec = f"opinion-prediction:corpus=voicemos-bvcc,path={bvcc},partial=true"
    done = evaluate(
        RunSettings(models=("oracle", "silent", "shuffled"), tasks=(spec,), resamples=200),
        output=tmp_path / "run", quiet=True,
    )  # fmt: skip
    found = {(one.model, one.metric): one.value for one in done.results if one.slice == "all"}
    assert found["oracle", "system_srcc"] == found["oracle", "utterance_lcc"] == 1.0
    assert found["oracle", "utterance_mse"] == 0.0
    assert (found["silent", "system_srcc"], found["silent", "unanswered"]) == (None, 1.0)
    assert found["shuffled", "utterance_mse"] > 0  # type: ignore[operator]
