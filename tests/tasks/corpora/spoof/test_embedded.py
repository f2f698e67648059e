"""The embedded corpus, made of a few made recordings: what is written, what its trials say, and that it repeats."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.audio import encode_wav, read, read_file
from audiometry.benchmark.errors import DataError, SettingError
from audiometry.benchmark.types import Waveform
from audiometry.tasks.corpora.prepared import sha256_of
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF
from audiometry.tasks.corpora.spoof import embedded
from audiometry.tasks.corpora.spoof.embedded import SpoofEmbedded, open_embedded
from audiometry.tasks.corpora.spoof.sources import Recording, beginning, speakers
from audiometry.tasks.transforms import spoof_equalisation

RATE = 16_000


def speech(seed: int, seconds: float = 2.6) -> Waveform:
    generator = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * (110 + 3 * seed) * k * times) / k for k in range(1, 20))
    beat = np.abs(np.sin(2 * np.pi * 2 * times)) + 0.05
    samples = 0.1 * tone * beat + 0.001 * generator.standard_normal(len(times))
    return Waveform(samples.astype(np.float32), RATE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SpoofEmbedded:
    """Built of one recording a speaker, in this process."""
    folder = tmp_path_factory.mktemp("spoof")
    people = []
    for place, who in enumerate(speakers()):
        file = folder / f"{place}.wav"
        file.write_bytes(encode_wav(speech(place)))
        people.append(
            Recording(who, "hello", file, "" if who.package else f"Good morning to all of you, {who.language}.")
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(folder / "home"))
        patch.setattr(embedded, "recordings", lambda scratch, source, report: (people, {"recording too short": 3}))
        patch.setattr(embedded, "ProcessPoolExecutor", InProcess)
        corpus = open_embedded()
        corpus.prepare(None, lambda text: None)
        kept = corpus.folder
    object.__setattr__(corpus, "folder_made", kept)
    return corpus


class InProcess:
    """A pool of processes without processes."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, function, work, chunksize):  # type: ignore[no-untyped-def]
        """As a pool maps."""
        return map(function, work)


@pytest.fixture
def corpus(made: SpoofEmbedded, monkeypatch: pytest.MonkeyPatch) -> SpoofEmbedded:
    monkeypatch.setenv("AUDIOMETRY_HOME", str(made.folder_made.parents[1]))  # type: ignore[attr-defined]
    return open_embedded()


def test_every_trial_is_a_sound_of_its_level(corpus: SpoofEmbedded) -> None:
    for level, seconds in (("E0", None), ("E2", 2.0), ("E4", 2.0)):
        for trial in corpus.trials("train", level):  # type: ignore[arg-type]
            heard = read(trial.audio)
            assert heard.rate == RATE
            assert seconds is None or heard.seconds == seconds
            assert np.array_equal(heard.samples, read(trial.audio).samples)


def test_trials_say_what_they_are(corpus: SpoofEmbedded) -> None:
    unseen = corpus.trials("unseen-attack")
    assert {trial.label for trial in unseen} == {BONA_FIDE, SPOOF}
    assert all(bool(trial.attack) == (trial.label == SPOOF) for trial in unseen)
    assert {trial.attack for trial in unseen if trial.attack} >= {"hibari", "world", "replay"}
    assert {trial.speaker for trial in unseen} == {"allison-smith", "july-jimenez"}
    assert {trial.slices["language"] for trial in unseen} == {"en", "es"}
    seen = {trial.attack for trial in corpus.trials("seen-attack")} - {""}
    assert seen <= {trial.attack for trial in corpus.trials("train")}
    assert not seen & {trial.attack for trial in corpus.trials("development")}


def test_every_attack_of_a_protocol_has_as_many_trials(corpus: SpoofEmbedded) -> None:
    for split in ("seen-attack", "unseen-attack"):
        trials = corpus.trials(split)  # type: ignore[arg-type]
        counts = Counter(trial.attack for trial in trials if trial.attack)
        assert len(set(counts.values())) == 1
        assert sum(not trial.attack for trial in trials) == 3
    made = Counter(clip.id.split("/")[2] for clip in corpus._clips() if clip.id.split("/")[1] == "unseen")
    assert min(made.values()) < max(made.values())  # there was something to make equal


def test_it_is_whole_and_repeats(corpus: SpoofEmbedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = {clip.id: clip for clip in corpus._clips()}
    assert corpus.verify() == len(clips)
    one = next(trial for trial in corpus.trials("train") if trial.attack == "griffin-lim")
    again = embedded._made((next(t for t in planned() if t.id == one.id), str(tmp_path), 0))
    assert again is not None
    assert again.sha256 == clips[one.id].sha256 == sha256_of(Path(one.audio.path))


def planned() -> list[embedded.PlannedTrial]:
    folder = open_embedded().folder.parents[2]
    return embedded.plan_trials(
        Recording(
            who, "hello", folder / f"{place}.wav", "" if who.package else f"Good morning to all of you, {who.language}."
        )
        for place, who in enumerate(speakers())
    )


def test_only_the_beginning_of_a_long_recording_is_used() -> None:
    assert beginning(speech(0, 9.0)).seconds == pytest.approx(4.0, abs=0.1)


def test_what_cannot_be_is_told(corpus: SpoofEmbedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no split 'test'"):
        corpus.trials("test")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="24 numbers"):
        spoof_equalisation.equalised(read_file(Path(corpus.trials("train")[0].audio.path)), np.random.default_rng(0))
    monkeypatch.setenv("AUDIOMETRY_HOME", str(tmp_path))
    with pytest.raises(DataError, match="audiometry data build spoof"):
        open_embedded().trials("train")
