from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.registry import TASKS, Spec
from audiometry.benchmark.types import Audio, Output, Sample, Segment, Task
from audiometry.models.adapters.controls import target_as_output
from audiometry.tasks import diarisation as family
from audiometry.tasks.corpora.stitched import Turn
from audiometry.tasks.corpora.utterance import Utterance
from audiometry.tasks.diarisation import as_rttm, read_rttm, read_speaker_lines

TURNS = {
    "conversations/languages/overlap-00-01": [Turn(0, 2, "ann", "Good morning."), Turn(2.3, 4, "bob", "Buenos días.")],
    "conversations/english/overlap-20-01": [
        Turn(0, 2, "ann", "Hello."), Turn(1.5, 4, "cy", "Hi Ann."), Turn(3.5, 5, "ann", "Who: is it?"),
    ],
}  # fmt: skip


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Corpus:
        name = "conversations"
        notes = ("stitched",)

        def utterances(self) -> list[Utterance]:
            return [Utterance(key, Audio(f"{key}.wav"), "", speaker=key) for key in TURNS]

    monkeypatch.setattr(family, "conversations", Corpus)
    monkeypatch.setattr(family, "read_turns", lambda _: TURNS)


def made(name: str, **given_settings: str) -> Task:
    return TASKS.create(Spec(name, tuple(sorted(given_settings.items()))))


def measured(task: Task, answer: Callable[[Sample], Output]) -> tuple[dict[str, float], list[str]]:
    columns, statuses = Columns(), []
    for place, one in enumerate(task.samples()):
        score = task.score(one, answer(one))
        statuses.append(score.status)
        columns.append(place, one, score.status, score.counts)
    table = columns.table()
    values = task.reduce(table, np.ones((1, table.clusters)))
    assert set(values) == {metric.name for metric in task.metrics}
    return {name: float(value[0]) for name, value in values.items()}, statuses


def oracle(sample: Sample) -> Output:
    return target_as_output("transcribe", sample.target)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(("name", "headline"), [("diarisation", "der"), ("speaker-attributed", "cpwer")])
def test_controls(name: str, headline: str) -> None:
    task = made(name)
    assert task.metrics[0].name == headline
    perfect, _ = measured(task, oracle)
    assert perfect[headline] == pytest.approx(0, abs=1e-6)
    silent, statuses = measured(task, lambda _: Output(status="empty", text=""))
    assert silent[headline] == 1
    assert statuses == ["empty", "empty"]
    failed, _ = measured(task, lambda one: Output(status="error", text=str(one.target)))
    assert failed[headline] == 1


@pytest.mark.usefixtures("told")
def test_slices_and_instructions() -> None:
    first, second = made("diarisation").samples()
    assert first.slices == {"cast": "languages", "overlap": "00 %", "speakers": "2"}
    assert second.slices == {"cast": "english", "overlap": "20 %", "speakers": "2"}
    assert "RTTM" in str(first.request.instruction)
    assert first.cluster != second.cluster


@pytest.mark.usefixtures("told")
def test_segments_or_rttm_and_nothing_else() -> None:
    task = made("diarisation")
    by_segments = {
        key: tuple(Segment(turn.start, turn.end, turn.speaker.upper()) for turn in turns)
        for key, turns in TURNS.items()
    }
    values, statuses = measured(task, lambda one: Output(segments=by_segments[one.id]))
    assert (values["der"], statuses) == (pytest.approx(0), ["ok", "ok"])
    values, statuses = measured(task, lambda _: Output(text="Good morning."))
    assert (values["der"], values["missed"], statuses) == (1, 1, ["unparsed", "unparsed"])
    values, statuses = measured(task, lambda _: Output(text=" "))
    assert statuses == ["empty", "empty"]
    one_speaker, _ = measured(task, lambda _: Output(segments=(Segment(0, 5, "x"),)))
    # 3.7 s: bob's 1.7 s confused, 1.3 s of silence claimed; 6 s: 1 s missed where two speak, cy's other 1.5 s confused
    assert one_speaker["confusion"] == pytest.approx((1.7 + 1.5) / 9.7)
    assert one_speaker["false_alarm"] == pytest.approx(1.3 / 9.7)
    assert one_speaker["missed"] == pytest.approx(1.0 / 9.7)


@pytest.mark.usefixtures("told")
def test_an_answer_whose_times_make_no_segments_is_unparsed() -> None:
    task = made("diarisation")
    values, statuses = measured(task, lambda _: Output(segments=(Segment(3, 1, "x"),)))
    assert (values["der"], statuses) == (1, ["unparsed", "unparsed"])
    values, statuses = measured(task, lambda _: Output(text=f"SPEAKER x 1 {'9' * 400} 1 <NA> <NA> ann <NA> <NA>"))
    assert (values["der"], statuses) == (1, ["unparsed", "unparsed"])


@pytest.mark.usefixtures("told")
def test_collar_and_overlap_are_settings() -> None:
    task = made("diarisation", collar="0.25", skip_overlap="true")
    assert task.settings == {"corpus": "conversations", "collar": "0.25", "skip_overlap": "True"}

    def late(sample: Sample) -> Output:
        return Output(segments=tuple(Segment(t.start + 0.2, t.end + 0.2, t.speaker) for t in TURNS[sample.id]))

    assert measured(task, late)[0]["der"] == pytest.approx(0, abs=1e-9)
    assert measured(made("diarisation"), late)[0]["der"] > 0.1


@pytest.mark.usefixtures("told")
def test_words_without_speakers_are_one_speakers() -> None:
    task = made("speaker-attributed")
    plain, _ = measured(task, lambda one: Output(text=" ".join(turn.text for turn in TURNS[one.id])))
    assert plain["wer"] == 0
    # first: 2 of 4 words are the other speaker's: left out there, added here; second: 2 of 6 likewise
    assert plain["cpwer"] == pytest.approx((4 + 4) / 10)
    swapped, _ = measured(task, lambda one: Output(text="\n".join(f"x{t.speaker}: {t.text}" for t in TURNS[one.id])))
    assert swapped["cpwer"] == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9_999), st.integers(1, 9_999), st.sampled_from("abc")), max_size=5))
def test_rttm_comes_back(rows: list[tuple[int, int, str]]) -> None:
    given_segments = tuple(Segment(start / 1000, (start + long) / 1000, who) for start, long, who in rows)
    found = read_rttm(as_rttm(given_segments)) or ()
    assert [one.label for one in found] == [one.label for one in given_segments]
    for one, other in zip(found, given_segments, strict=True):
        assert (one.start, one.end) == pytest.approx((other.start, other.end), abs=1e-9)


@pytest.mark.parametrize("text", ["hello", "SPEAKER x 1 a 1 <NA> <NA> n <NA> <NA>", "SPEAKER x 1 0 1 <NA> <NA> n\nhm"])
def test_what_is_no_rttm(text: str) -> None:
    assert read_rttm(text) is None


def test_speaker_lines() -> None:
    assert read_speaker_lines("") == {}
    assert read_speaker_lines("Good morning all.") == {"": "Good morning all."}
    assert read_speaker_lines("Two words: here") == {"": "Two words: here"}
    assert read_speaker_lines("a: one\n\nb: \nc:\na: two") == {"a": "one two"}
    assert read_speaker_lines("Note: the shop is open") == {"": "Note: the shop is open"}
    assert read_speaker_lines("We open at nine.\nNote: not today.") == {"": "We open at nine. Note: not today."}
    assert read_speaker_lines("a: one\nand two\nb: at 10:30") == {"a": "one and two", "b": "at 10:30"}
    assert read_speaker_lines("Speaker 1: one\nSpeaker 2: two") == {"Speaker 1": "one", "Speaker 2": "two"}
    long = "n" * 41
    assert read_speaker_lines(f"{long}: one\n{long}: two") == {"": f"{long}: one {long}: two"}
    assert read_speaker_lines("One, two: a\nOne, two: b") == {"": "One, two: a One, two: b"}


@pytest.mark.usefixtures("told")
def test_a_word_with_a_colon_is_a_word_where_nobody_is_named() -> None:
    first = next(iter(made("speaker-attributed").samples()))
    heard = made("speaker-attributed").score(first, Output(text="Good: morning. Buenos días."))
    assert (heard.counts["word_errors"], heard.counts["words"]) == (0.0, 4.0)
