from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from audiometry.benchmark.audio import read
from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora import matched_voices as module
from audiometry.tasks.corpora.delivery import articulation_rates, delivery_groups, median_pitches
from audiometry.tasks.corpora.matched_voices import TEXTS, VOICES, matched_voices

FEW = tuple(voice for voice in VOICES if voice.speaker.endswith(("en-us-f1", "en-us-m1", "rp-grandpa", "heart")))


def test_voices_are_balanced():
    espeak = [voice for voice in VOICES if voice.synthesiser == "espeak-ng"]
    assert (len(VOICES), len(espeak), len({voice.speaker for voice in VOICES})) == (73, 72, 73)
    for accent in {voice.accent for voice in espeak}:
        own = [voice for voice in espeak if voice.accent == accent]
        assert [sum(voice.gender == gender for voice in own) for gender in ("female", "male")] == [6, 6]
        assert sum(voice.age == "old" for voice in own) == 2
    assert len(TEXTS) * len([voice for voice in VOICES if voice.age == "old"]) >= 20


@pytest.fixture
def few(home, monkeypatch):
    monkeypatch.setattr(module, "VOICES", FEW)
    monkeypatch.setattr(module, "TEXTS", TEXTS[:2])
    corpus, told = matched_voices(), []
    corpus.prepare(None, told.append)
    assert told[0] == "speaking 2 sentences by 4 voices"
    return corpus


@pytest.mark.slow
def test_the_same_sentences_by_each_voice(few, home, monkeypatch):
    utterances = few.utterances()
    assert len(utterances) == 8
    assert {one.text for one in utterances} == set(TEXTS[:2])
    old = next(one for one in utterances if one.speaker == "espeak-en-gb-x-rp-grandpa")
    assert (old.gender, old.slices["age"], old.slices["accent"]) == ("male", "old", "received pronunciation")
    boundaries = few.boundaries()
    assert set(boundaries) == {one.id for one in utterances if one.slices["synthesiser"] == "espeak-ng"}
    for one in utterances:
        sound = read(one.audio)
        assert sound.seconds == pytest.approx(one.audio.seconds)
        if one.id in boundaries:
            spoken = " ".join(word.label for word in boundaries[one.id])
            assert spoken == one.text.strip(".")
            assert boundaries[one.id][-1].end <= sound.seconds
            assert len(few.boundaries("phonemes")[one.id]) > len(boundaries[one.id])
    assert "synthetic speech" in few.notes

    pitches = median_pitches(utterances)
    assert np.isfinite(pitches).all()
    male = [pitch for pitch, one in zip(pitches, utterances, strict=True) if one.speaker == "espeak-en-us-m1"]
    female = [pitch for pitch, one in zip(pitches, utterances, strict=True) if one.speaker == "espeak-en-us-f1"]
    assert max(male) < min(female)
    rates = articulation_rates(utterances)
    assert ((rates > 5) & (rates < 25)).all()
    alone = [one.id for one in utterances]
    groups = delivery_groups(utterances, ["pitch", "rate"], alone)
    assert {group["pitch"] for group in groups} == {"low", "middle", "high"}
    assert {group["rate"] for group in groups} == {"slow", "medium", "fast"}
    assert [group["pitch"] for group in groups][int(np.argmin(pitches))] == "low"

    together = delivery_groups(utterances, ["pitch"], [one.speaker for one in utterances])
    by_speaker = {one.speaker: set() for one in utterances}
    for one, group in zip(utterances, together, strict=True):
        by_speaker[one.speaker].add(group["pitch"])
    assert all(len(groups_of) == 1 for groups_of in by_speaker.values())

    kept = home / "measured" / "delivery-1.json"
    assert len(json.loads(kept.read_text())) == 8
    monkeypatch.setattr("audiometry.tasks.corpora.delivery.read", lambda _: pytest.fail("measured twice"))
    assert delivery_groups(utterances, ["pitch", "rate"], alone) == groups
    monkeypatch.undo()
    kept.write_text("{]")
    monkeypatch.setenv("AUDIOMETRY_HOME", str(home))
    np.testing.assert_array_equal(median_pitches(utterances), pitches)

    (few.folder / "boundaries.json").write_text("[]")
    with pytest.raises(DataError, match=r"audiometry data prepare matched-voices"):
        few.boundaries()


def test_sound_that_cannot_be_read_has_no_group(home, tmp_path):
    from audiometry.benchmark.types import Audio
    from audiometry.tasks.corpora.utterance import Utterance

    lost = [Utterance(str(n), Audio(str(tmp_path / "none.wav")), "hello", "en") for n in range(2)]
    odd = [Utterance("odd", Audio(str(tmp_path / "none.wav")), "hello", "no such language")]
    assert delivery_groups([*lost, *odd], ["rate", "pitch"], ["a", "a", "b"]) == [{}, {}, {}]


def test_a_source_is_refused_and_missing_packages_named(home, monkeypatch):
    with pytest.raises(DataError, match="leave out --source"):
        matched_voices().prepare("here", print)
    monkeypatch.setitem(sys.modules, "hibari", None)
    with pytest.raises(DataError, match=r"pip install 'audiometry\[text,synthetic\]'"):
        matched_voices().prepare(None, print)
