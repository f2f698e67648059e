from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import CORPORA, TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Sample, Task, Waveform
from audiometry.tasks.corpora.rows import EmotionalUtterance
from audiometry.tasks.corpora.styles import SENTENCES, STYLES, VOICES, delivery, styled_utterances
from audiometry.tasks.emotion import emotion_task, synthesis_samples

ROWS = [
    EmotionalUtterance(f"{actor}-{emotion}", Audio("x.wav"), emotion, "normal", "text", actor, gender)
    for actor, gender in (("ann", "female"), ("bob", "male"))
    for emotion in ("happy", "sad", "angry")
]


@pytest.mark.parametrize("ability", ["classify", "respond"])
def test_controls(ability: str, measured: Callable[..., object]) -> None:
    classes = ["angry", "happy", "sad"]
    task = emotion_task(name="few", rows=lambda: ROWS, classes=classes, ability=ability)  # type: ignore[arg-type]
    assert measured(task, "oracle").values["uar"] == 1.0  # type: ignore[attr-defined]
    for control in ("silent", "failing"):
        assert set(measured(task, control).values.values()) == {0.0}  # type: ignore[attr-defined]
    constant = measured(task, lambda _: Output(text="sad", labels={"sad": 1.0})).values  # type: ignore[attr-defined]
    assert constant["uar"] == pytest.approx(1 / 3)
    assert (constant["recall_sad"], constant["recall_happy"]) == (1.0, 0.0)
    unsure = measured(task, lambda _: Output(text="sad or happy", labels={"sad": 0.5, "happy": 0.5}))
    assert unsure.statuses == {"unparsed": 6}  # type: ignore[attr-defined]
    one = next(iter(task.samples()))
    assert (one.cluster, one.slices) == ("ann", {"intensity": "normal", "gender": "female"})
    assert "chance level: 33.3 %, 3 classes" in task.notes


def test_a_public_corpus(tmp_path: Path, measured: Callable[..., object]) -> None:
    for number, emotion in enumerate(("01", "03", "04"), 1):
        folder = tmp_path / "Actor_01"
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / f"03-01-{emotion}-01-01-01-01.wav", np.full(800, 0.1 * number), 8000)
    given = (("corpus", "ravdess"), ("partial", "true"), ("path", str(tmp_path)))
    task = TASKS.create(Spec("emotion", given))
    assert task.name == "emotion-ravdess"
    assert {str(one.target) for one in task.samples()} == {"neutral", "happy", "sad"}
    assert measured(task, "oracle").values["uar"] == 1.0  # type: ignore[attr-defined]


def test_deliveries_lie_half_way_and_differ() -> None:
    assert delivery("neutral", "normal") == STYLES["neutral"]
    assert delivery("happy", "strong") == STYLES["happy"]
    assert STYLES["neutral"].rate < delivery("happy", "normal").rate < STYLES["happy"].rate
    assert len({delivery(style, "normal") for style in STYLES}) == len(STYLES)


@pytest.mark.slow
def test_the_styles_are_spoken(home: Path, measured: Callable[..., object]) -> None:
    corpus = CORPORA.create(Spec("synthetic-styles"))
    corpus.prepare(None, lambda _: None)
    rows = list(styled_utterances())
    assert Counter(row.emotion for row in rows) == {"neutral": 16, **dict.fromkeys(list(STYLES)[1:], 32)}
    assert {row.actor for row in rows} == {f"espeak-{voice}" for voice in VOICES}
    seconds = {(row.emotion, row.intensity): row.audio.seconds or 0.0 for row in rows if row.text == SENTENCES[0]}
    assert seconds["sad", "strong"] > seconds["sad", "normal"] > seconds["neutral", "normal"]
    assert seconds["neutral", "normal"] > seconds["happy", "normal"] > seconds["happy", "strong"]
    task = TASKS.create(Spec("emotion-synthetic"))
    assert measured(task, "oracle").values["uar"] == 1.0  # type: ignore[attr-defined]
    assert any("by rule" in note for note in task.notes)


SOUND = Waveform(np.zeros(100, np.float32), 8000)
Judge = Callable[[Sample], Mapping[str, float]]


def judged_values(task: Task, judge: Judge) -> tuple[dict[str, float], Counter[str]]:
    columns = Columns()
    statuses: Counter[str] = Counter()
    for place, one in enumerate(task.samples()):
        labels = judge(one)
        output = Output(audio=SOUND)
        assert task.judge is not None
        assert task.score_judged is not None
        asked = task.judge(one, output, Audio("made.wav"))["listener"]
        assert asked.ability == "classify"
        score = task.score_judged(one, output, {"listener": Output(labels=labels)}) if labels else task.score(
            one, Output(status="error", error="x")
        )  # fmt: skip
        statuses[score.status] += 1
        columns.append(place, one, score.status, score.counts)
    table = columns.table()
    return {name: float(v[0]) for name, v in task.reduce(table, np.ones((1, table.clusters))).items()}, statuses


@pytest.fixture
def synthesis() -> Task:
    return TASKS.create(Spec("emotion-synthesis", (("judge", "listener"),)))


def heard(one: Sample, strong: float, normal: float) -> dict[str, float]:
    share = strong if one.slices["intensity"] == "strong" else normal
    others = [style for style in STYLES if style != one.target]
    return {str(one.target): share, **{style: (1 - share) / len(others) for style in others}}


def test_synthesis_by_judges(synthesis: Task) -> None:
    assert judged_values(synthesis, lambda one: heard(one, 0.9, 0.6))[0] == {"match_uar": 1.0, "intensity_order": 1.0}
    assert judged_values(synthesis, lambda one: heard(one, 0.6, 0.9))[0] == {"match_uar": 1.0, "intensity_order": 0.0}
    assert judged_values(synthesis, lambda one: heard(one, 0.7, 0.7))[0]["intensity_order"] == 0.0
    flat = judged_values(synthesis, lambda _: {"neutral": 1.0})[0]
    assert flat == {"match_uar": pytest.approx(0.2), "intensity_order": 0.0}


def test_synthesis_that_fails_or_cannot_be_judged(synthesis: Task) -> None:
    values, statuses = judged_values(synthesis, lambda _: {})
    assert (values, statuses) == ({"match_uar": 0.0, "intensity_order": 0.0}, {"error": 36})
    values, statuses = judged_values(synthesis, lambda _: {"bored": 1.0})
    assert (values["match_uar"], statuses) == (0.0, {"unparsed": 36})
    half = judged_values(synthesis, lambda one: heard(one, 0.9, 0.6) if one.target != "sad" else {})[0]
    assert half == {"match_uar": pytest.approx(0.8), "intensity_order": pytest.approx(0.75)}


def test_text_in_place_of_speech_is_unparsed_and_wrong(synthesis: Task) -> None:
    score = synthesis.score(next(iter(synthesis_samples())), Output(text="I cannot speak"))
    assert score.status == "unparsed"
    failed = synthesis.score(next(iter(synthesis_samples())), Output(status="refused", text="no"))
    assert (failed.status, failed.counts) == ("refused", score.counts)


def test_what_is_asked_to_be_said(synthesis: Task) -> None:
    samples = list(synthesis_samples())
    assert len(samples) == 36 == len({one.id for one in samples})
    assert samples[1].request.instruction == "Say it in a happy voice."
    assert samples[2].request.instruction == "Say it in a very happy voice."
    assert samples[1].cluster == samples[2].cluster
    assert synthesis.judges == ("listener",)
    assert synthesis.judge is not None
    assert synthesis.judge(samples[0], Output(text="words"), None) == {}
    with pytest.raises(SettingError, match="judge=MODEL"):
        TASKS.check(Spec("emotion-synthesis"))
