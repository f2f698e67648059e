from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

from audiometry.benchmark.registry import CORPORA, TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Task
from audiometry.tasks import intent, question_answering
from audiometry.tasks.corpora import making, spoken
from audiometry.tasks.corpora.questions import CHOICES, PASSAGES, spoken_texts
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.corpora.voice_commands import COMMANDS, INTENTS
from audiometry.tasks.intent import parse_frame, score_frame
from audiometry.tasks.question_answering import options_of


def corpus_of(name: str, texts: Iterable[tuple[str, str]]) -> SimpleNamespace:
    said = [
        Utterance(
            f"{name}/{clip}", Audio(f"{clip}.wav", seconds=2.0), text, "en", "voice", slices={"speech": "synthetic"}
        )
        for clip, text in texts
    ]
    return SimpleNamespace(name=name, notes=("synthetic speech",), utterances=lambda: said)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Task]:
    """A task of this family, its recordings named but not there."""
    questions = corpus_of("spoken-questions-en", spoken_texts())
    commands = corpus_of("spoken-commands-en", ((one.id, one.text) for one in COMMANDS))
    monkeypatch.setattr(question_answering, "open_corpus", lambda _: questions)
    monkeypatch.setattr(intent, "open_corpus", lambda _: commands)
    return lambda name: TASKS.create(Spec(name))


PERFECT = {
    "spoken-qa-choice": {"accuracy": 1.0},
    "spoken-qa-short": {"f1": 1.0, "exact_match": 1.0},
    "spoken-intent": {"intent_accuracy": 1.0, "slot_f1": 1.0, "frame_accuracy": 1.0},
}


@pytest.mark.parametrize("name", PERFECT)
def test_the_oracle_is_perfect_and_silence_and_failures_are_worst(name: str, made: object, measured: object) -> None:
    task = made(name)  # type: ignore[operator]
    assert measured(task, "oracle").values == PERFECT[name]  # type: ignore[operator]
    for control, status in (("silent", "empty"), ("failing", "error")):
        found = measured(task, control)  # type: ignore[operator]
        assert found.values == dict.fromkeys(PERFECT[name], 0.0)
        assert set(found.statuses) == {status}
    assert max(measured(task, "shuffled").values.values()) < 0.45  # type: ignore[operator]
    assert "synthetic speech" in task.notes


def test_one_letter_each_time_is_chance(made: Callable[[str], Task], measured: Callable[..., object]) -> None:
    task = made("spoken-qa-choice")
    for letter in "ABCD":
        found = measured(task, lambda _, letter=letter: Output(text=letter))
        assert found.values["accuracy"] == 0.25  # type: ignore[attr-defined]
    assert any("25.0 %" in note for note in task.notes)


def test_an_answer_that_names_no_option_is_unparsed_and_wrong(made: object, measured: object) -> None:
    found = measured(made("spoken-qa-choice"), lambda _: Output(text="I am not sure, A or B"))  # type: ignore[operator]
    assert (found.values["accuracy"], found.statuses) == (0.0, {"unparsed": 40})


def test_what_is_asked(made: Callable[[str], Task]) -> None:
    choice = next(iter(made("spoken-qa-choice").samples()))
    assert choice.request.ability == "respond"
    assert "What is the capital" not in (choice.request.instruction or "")
    options, place = options_of(CHOICES[0])
    assert f"{choice.target}) {CHOICES[0].right}" in (choice.request.instruction or "")
    assert options[place] == CHOICES[0].right
    assert choice.slices["topic"] == "geography"
    short = next(iter(made("spoken-qa-short").samples()))
    assert (short.target, short.cluster) == ("the east pier", "passage-01")


def test_places_are_balanced_and_answers_stand_in_their_passages() -> None:
    assert Counter(options_of(one)[1] for one in CHOICES) == {0: 10, 1: 10, 2: 10, 3: 10}
    for one in CHOICES:
        assert len(set(options_of(one)[0])) == 4
    for passage in PASSAGES:
        for question in passage.questions:
            said = set(re.findall(r"\w+", passage.text.lower()))
            answers = [set(re.findall(r"\w+", answer.lower().replace("'s", ""))) for answer in question.answers]
            assert any(answer <= said for answer in answers), question


def test_commands_hold_their_slots() -> None:
    assert len(COMMANDS) == 92
    assert {one.intent for one in COMMANDS} == set(INTENTS)
    for one in COMMANDS:
        assert set(one.slots) <= set(INTENTS[one.intent])
        assert all(value.lower() in one.text.lower() for value in one.slots.values()), one
        assert not set(one.text) & set("{|}=")


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (("set_timer", {"duration": "Ten minutes"}), (1, 1, 1, 1, 1)),
        (("set_timer", {"duration": "ten", "room": "hall"}), (1, 0, 0, 2, 1)),
        (("set_timer", {}), (1, 0, 0, 0, 1)),
        (("set_alarm", {"duration": "ten minutes"}), (0, 0, 0, 1, 1)),
        (None, (0, 0, 0, 0, 1)),
    ],
)
def test_frames_by_hand(answer: object, counts: tuple[int, ...]) -> None:
    found = score_frame(answer, ("set_timer", {"duration": "ten minutes"}), str.lower)  # type: ignore[arg-type]
    names = ("intent", "frame", "slots_right", "slots_said", "slots_wanted")
    assert tuple(found[name] for name in names) == counts


@pytest.mark.parametrize(
    "text",
    ["", "stop", '{"intent": "dance"}', '{"slots": {}}', '{"intent": "stop", "slots": []}',
     '{"intent": "stop", "slots": {"a": null}}', '{"intent": "stop", "slots": {"a": true}}', '{"intent": 3}'],
)  # fmt: skip
def test_what_is_no_frame(text: str, made: Callable[[str], Task], measured: Callable[..., object]) -> None:
    assert parse_frame(text) is None
    if text:
        found = measured(made("spoken-intent"), lambda _: Output(text=text))
        assert found.statuses == {"unparsed": 92}  # type: ignore[attr-defined]


def test_slot_f1_by_hand(made: Callable[[str], Task], measured: Callable[..., object]) -> None:
    """Every intent right and no slot named: F1 0. The normaliser forgives numbers as digits."""
    meant = {one.id: one for one in COMMANDS}
    found = measured(
        made("spoken-intent"),
        lambda one: Output(text=f'{{"intent": "{meant[one.id.rpartition("/")[2]].intent}"}}'),
    )
    assert found.values["intent_accuracy"] == 1.0  # type: ignore[attr-defined]
    assert found.values["slot_f1"] == 0.0  # type: ignore[attr-defined]
    bare = sum(not one.slots for one in COMMANDS) / len(COMMANDS)
    assert found.values["frame_accuracy"] == pytest.approx(bare)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_texts_are_spoken(home: Path) -> None:
    corpus = spoken.spoken_corpus("spoken-mini", lambda: [("one", "Good morning."), ("two", "Good evening, Anna.")])
    corpus.prepare(None, lambda _: None)
    first, second = corpus.utterances()
    assert (first.id, first.text, first.speaker) == ("spoken-mini/one", "Good morning.", making.HIBARI)
    assert 0.3 < (first.audio.seconds or 0) < (second.audio.seconds or 0) < 4
    assert corpus.verify() == 2
    for name in ("spoken-questions-en", "spoken-commands-en"):
        assert CORPORA.create(Spec(name)).notes == ("synthetic speech",)
