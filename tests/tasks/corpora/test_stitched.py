from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.audio import encode_wav, read
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.types import Audio, Waveform
from audiometry.tasks.corpora import making, spoken_texts, stitched
from audiometry.tasks.corpora.making import HIBARI, RATE, levelled, trimmed
from audiometry.tasks.corpora.prepared import PreparedCorpus
from audiometry.tasks.corpora.stitched import (
    Said,
    Turn,
    code_switched,
    conversations,
    place_turns,
    read_turns,
)
from audiometry.tasks.corpora.utterance import Utterance

WORDS = {"en": "good morning", "es": "buenos dias", "fr": "bonjour madame", "it": "buon giorno", "ru": "доброе утро"}


def quiet(_: str) -> None:
    pass


def tone(seconds: float, hertz: float) -> Waveform:
    times = np.arange(round(seconds * RATE)) / RATE
    return Waveform((0.3 * np.sin(2 * np.pi * hertz * times)).astype(np.float32), RATE)


@pytest.fixture
def prompts(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five languages of tones for prompts, and a tone for a neural voice."""

    def load(name: str) -> Iterator[Utterance]:
        language = name.removeprefix("asterisk-")
        for number in range(8):
            seconds = 1.5 + number / 10
            file = tmp_path / f"{name}-{number}.wav"
            file.write_bytes(encode_wav(tone(seconds, 200 + 100 * list(WORDS).index(language))))
            audio = Audio(str(file), seconds=seconds)
            yield Utterance(f"{name}/{number}", audio, WORDS[language], language, f"voice-{language}")

    monkeypatch.setattr(stitched, "load_corpus", lambda name: list(load(name)))
    for module in (stitched, spoken_texts):
        monkeypatch.setattr(module, "hibari_speaker", lambda _: lambda text, seed: tone(1.5 + len(text) / 100, 900))


@pytest.mark.usefixtures("prompts")
def test_conversations_are_as_their_turns_say() -> None:
    corpus = conversations()
    corpus.prepare(None, quiet)
    told = read_turns(corpus)
    utterances = corpus.utterances()
    assert len(utterances) == len(told) == 30
    for one in utterances:
        turns = told[one.id]
        assert len(turns) == 12
        assert all(first.speaker != second.speaker for first, second in pairwise(turns))
        assert len({turn.speaker for turn in turns}) == (4 if "/languages/" in one.id else 3)
        speech = sum(turn.end - turn.start for turn in turns)
        both = sum(max(first.end - second.start, 0) for first, second in pairwise(turns))
        assert both / (speech - both) == pytest.approx(int(one.id.split("-")[-2]) / 100, abs=1e-6)
        sound = read(one.audio)
        assert sound.seconds == pytest.approx(max(turn.end for turn in turns), abs=0.01)
        assert np.abs(sound.samples).max() <= 1
    gap = next(turns for name, turns in told.items() if "overlap-00" in name)
    waveform = read(next(one.audio for one in utterances if told[one.id] is gap))
    between = waveform.samples[round((gap[0].end + 0.05) * RATE) : round((gap[1].start - 0.05) * RATE)]
    assert np.abs(between).max() < 1e-3 < np.abs(waveform.samples[: round(gap[0].end * RATE)]).max()


@pytest.mark.usefixtures("prompts")
def test_turns_that_were_changed_are_found_out() -> None:
    corpus = conversations()
    with pytest.raises(DataError, match="not prepared"):
        read_turns(corpus)
    corpus.prepare(None, quiet)
    file = corpus.folder / "turns.jsonl"
    file.write_text(file.read_text().replace('"start": 0.0', '"start": 0.5', 1))
    with pytest.raises(DataError, match=r"turns\.jsonl is missing or changed"):
        read_turns(corpus)


@pytest.mark.usefixtures("prompts")
def test_code_switched_recordings_name_their_languages() -> None:
    corpus = code_switched()
    corpus.prepare(None, quiet)
    utterances = corpus.utterances()
    assert len(utterances) == 120
    for one in utterances:
        _, kind, name = one.id.split("/")
        languages = name.split("-")[:-1]
        assert one.text.split("\n") == [WORDS[language] for language in languages]
        assert languages[0] == "en"
        assert one.speaker == ("espeak-ng" if kind == "espeak" else "+".join(f"voice-{x}" for x in languages[:2]))
    returning = [one for one in utterances if one.text.count("\n") == 2]
    assert len(returning) == 40


@pytest.mark.usefixtures("prompts")
@pytest.mark.parametrize("make", [code_switched, conversations, spoken_texts.spoken_entities])
def test_a_folder_of_recordings_is_refused(make: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leave out --source"):
        make().prepare(str(tmp_path), quiet)  # type: ignore[operator]


@pytest.mark.usefixtures("prompts")
def test_texts_are_spoken_by_two_synthesisers() -> None:
    corpus: PreparedCorpus = spoken_texts.spoken_entities()
    corpus.prepare(None, quiet)
    utterances = corpus.utterances()
    texts = spoken_texts.entity_texts()
    assert len(utterances) == 2 * len(texts) == 168
    assert {one.speaker for one in utterances} == {HIBARI, "espeak-en-us"}
    assert all(one.text == texts[one.id.rsplit("/", 1)[1]] for one in utterances)
    assert corpus.notes == ("synthetic speech",)
    origin = json.loads((corpus.folder / "corpus.json").read_text())["origin"]
    assert "espeakng-loader" in origin


@pytest.mark.usefixtures("prompts")
def test_disfluent_sentences() -> None:
    corpus = spoken_texts.spoken_disfluencies()
    corpus.prepare(None, quiet)
    assert [one.text for one in corpus.utterances()] == [text for _, text in spoken_texts.disfluent_texts()]


def test_turns_by_hand() -> None:
    said = [Said(np.zeros(2 * RATE, np.float32), who, who) for who in "ab"]
    assert place_turns(said, 0.0) == [Turn(0.0, 2.0, "a", "a"), Turn(2.3, 4.3, "b", "b")]
    overlapping = place_turns(said, 1 / 3)  # 4 s of speech in 3 s, 1 s of it double
    assert [round(turn.start, 9) for turn in overlapping] == [0.0, 1.0]
    with pytest.raises(DataError, match="too short"):
        place_turns([*said, Said(np.zeros(800, np.float32), "c", "c")], 0.2)


def test_level_and_silence_at_the_ends() -> None:
    loud = levelled(tone(1.0, 440))
    assert np.sqrt(np.mean(loud**2)) == pytest.approx(0.05, rel=1e-3)
    assert not levelled(Waveform(np.zeros(RATE, np.float32), RATE)).any()
    padded = np.concatenate([np.zeros(RATE, np.float32), loud, np.zeros(RATE // 2, np.float32)])
    np.testing.assert_array_equal(trimmed(padded), loud)
    assert len(trimmed(np.zeros(RATE, np.float32))) == RATE


def test_a_missing_voice_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "hibari", None)
    with pytest.raises(DataError, match="hibari-tts"):
        making.hibari_speaker("spoken-entities")


def test_the_packaged_voice_speaks() -> None:
    spoken = making.hibari_speaker("spoken-entities")("Press one.", 0)
    assert spoken.rate == 24_000
    assert 0.3 < spoken.seconds < 5
