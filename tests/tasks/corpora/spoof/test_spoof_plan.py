"""Which trials there are: disjoint in speaker, text and attack, balanced, and telling nothing of the class."""

from __future__ import annotations

import pickle
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from audiometry.tasks.corpora.spoof.attacks import ATTACKS, attacks_of
from audiometry.tasks.corpora.spoof.plan import UNSEEN_EACH, PlannedTrial, plan_trials, without_shared_texts
from audiometry.tasks.corpora.spoof.sources import PARTS, Recording, speakers

EACH = 300


@pytest.fixture(scope="module")
def planned() -> list[PlannedTrial]:
    return plan_trials(people())


def people() -> list[Recording]:
    """`EACH` recordings of every speaker; those of the packs have no text."""
    return [
        Recording(who, f"prompt-{place}", Path("a.wav"), "" if who.package else f"{who.language} {place}")
        for who in speakers()
        for place in range(EACH)
    ]


def part_of(trial: PlannedTrial) -> str:
    return {"train": "train", "development": "development"}.get(trial.set, "evaluation")


def test_no_speaker_text_or_attack_is_in_two_parts(planned: list[PlannedTrial]) -> None:
    for told in ("speaker", "text", "attack"):
        parts: dict[str, set[str]] = defaultdict(set)
        for trial in planned:
            of = {
                "speaker": trial.recording.speaker.name,
                "text": trial.recording.text,
                "attack": trial.attack.name if trial.attack else "",
            }[told]
            if of and not (told == "attack" and trial.set == "seen"):  # its attacks are those of training by design
                parts[of].add(part_of(trial))
        assert parts, told
        assert all(len(found) == 1 for found in parts.values()), told


def test_the_protocols_attacks_are_the_frozen_list() -> None:
    assert {attack.name: attack.kind for attack in attacks_of("unseen")} == {
        "hibari": "neural",
        "flite-slt": "statistical",
        "flite-kal16": "concatenative",
        "world": "copy",
        "world-conversion": "conversion",
        "hibari-splice": "splice",
        "replay": "replay",
    }
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) == 16


def test_unseen_attacks_have_equally_many_trials(planned: list[PlannedTrial]) -> None:
    counts = Counter(trial.attack.name for trial in planned if trial.set == "unseen" and trial.attack)
    assert set(counts) == {attack.name for attack in attacks_of("unseen")}
    assert set(counts.values()) == {UNSEEN_EACH}


@pytest.mark.parametrize(("name", "each"), [("train", 4), ("development", 2)])
def test_speaker_language_and_text_tell_nothing_of_the_class(planned: list[PlannedTrial], name: str, each: int) -> None:
    """A control that knows them alone has no better guess for one recording than for another."""
    spoofs: Counter[str] = Counter()
    genuine: Counter[str] = Counter()
    for trial in planned:
        if trial.set == name:
            (spoofs if trial.attack else genuine)[trial.recording.id] += 1
    assert set(genuine.values()) == {1}
    assert set(spoofs.values()) == {each}
    assert genuine.keys() == spoofs.keys()


def test_attacks_of_training_are_about_as_many(planned: list[PlannedTrial]) -> None:
    counts = Counter(trial.attack.name for trial in planned if trial.set == "train" and trial.attack)
    assert max(counts.values()) - min(counts.values()) <= EACH * 0.1


def test_words_of_the_evaluation_are_not_trained_on() -> None:
    voices = {one.language: one for one in speakers() if not one.package}
    english, french, italian = (Recording(voices[name], "a", Path("a"), "Wi-Fi.") for name in ("en", "fr", "it"))
    kept = without_shared_texts([english, french, italian, Recording(voices["ru"], "b", Path("b"), "other")])
    assert [one.speaker.language for one in kept] == ["en", "ru"]


def test_every_trial_travels_to_another_process(planned: list[PlannedTrial]) -> None:
    assert pickle.loads(pickle.dumps(planned[:1] + planned[-1:])) == planned[:1] + planned[-1:]  # noqa: S301  # ours
    assert len(pickle.dumps(planned)) > 0


def test_every_language_has_a_part_and_ids_are_unique(planned: list[PlannedTrial]) -> None:
    assert {who.language for who in speakers()} == PARTS.keys()
    assert len({trial.id for trial in planned}) == len(planned)
    assert [trial.id for trial in plan_trials(people())] == [trial.id for trial in planned]
