"""`spoof-embedded`: bona fide prompts of seven people in five languages, and sixteen kinds of attack on them.

Built once by ``audiometry data build spoof``. The recordings are kept as they were made; the level of equalisation is a
transform that each trial's sound carries.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from audiometry.benchmark.audio import encode_wav, read_file
from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import MODELS, corpus, parse_spec
from audiometry.benchmark.seeds import derive_seed
from audiometry.benchmark.types import Audio, FloatArray, Transform
from audiometry.tasks.corpora.making import package_versions
from audiometry.tasks.corpora.prepared import Built, Clip, PreparedCorpus, Report, sha256_of
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF, SpoofingTrial
from audiometry.tasks.corpora.spoof.attacks import ATTACKS, PROTOCOL, make
from audiometry.tasks.corpora.spoof.equalisation import (
    LEVELS,
    RATE,
    REVISION,
    SHORTEST,
    Level,
    active_span,
    long_term_spectrum,
)
from audiometry.tasks.corpora.spoof.plan import BONA_FIDE_NAME, NAME, PlannedTrial, TrialSet, plan_trials
from audiometry.tasks.corpora.spoof.sources import beginning, recordings, speakers

__all__ = ["Split", "SpoofEmbedded", "open_embedded"]

Split: TypeAlias = Literal["train", "development", "seen-attack", "unseen-attack"]

SETS: Mapping[Split, tuple[TrialSet, ...]] = {
    "train": ("train",),
    "development": ("development",),
    "seen-attack": ("bona-fide", "seen"),
    "unseen-attack": ("bona-fide", "unseen"),
}
SPECTRUM = "spectrum.json"
EQUALISATION = "spoof-equalisation"
TOLD_EVERY = 1000
CHUNK = 16


@dataclass(frozen=True)
class SpoofEmbedded(PreparedCorpus):
    """The prepared corpus, as trials."""

    def trials(self, split: Split, level: Level = "E4") -> Sequence[SpoofingTrial]:
        """The trials of a split at a level of equalisation, in the manifest's order.

        Raises DataError if the corpus is not prepared, ValueError for a split or level that is not there.
        """
        if split not in SETS or level not in LEVELS:
            raise ValueError(f"there is no split {split!r} at level {level!r}; splits: {', '.join(SETS)}")
        wanted = SETS[split]
        chosen = [clip for clip in self._clips() if clip.id.split("/")[1] in wanted]
        return [self._trial(clip, level) for clip in (_equal(chosen) if split.endswith("-attack") else chosen)]

    @cached_property
    def target(self) -> FloatArray:
        """The long-term spectrum of the training speakers, in dB, shape (24,): what E4 gives to every recording.

        Raises DataError if it cannot be read.
        """
        try:
            return np.array(json.loads((self.folder / SPECTRUM).read_text(encoding="utf-8")), dtype=np.float64)
        except (OSError, ValueError) as error:
            raise DataError(f"corpus {self.name!r}: its spectrum cannot be read ({error}); {self._mend()}") from error

    def _trial(self, clip: Clip, level: Level) -> SpoofingTrial:
        _, _, attack, rest = clip.id.split("/", 3)
        known = {one.name for one in ATTACKS}
        target = ",".join(f"{value:.2f}" for value in self.target) if level == "E4" else ""
        settings = (("level", level), ("target", target), ("version", REVISION))
        seed = derive_seed(0, EQUALISATION, clip.id)
        audio = Audio(
            str(self.folder / clip.file), transforms=(Transform(EQUALISATION, settings, seed),), digest=clip.sha256,
            seconds=clip.seconds if level in ("E0", "E1") else 2.0,
        )  # fmt: skip
        return SpoofingTrial(
            id=clip.id, audio=audio, label=SPOOF if attack in known else BONA_FIDE,
            attack=attack if attack in known else "", speaker=clip.speaker, gender=clip.gender,
            slices={"language": clip.language, "source": rest},
        )  # fmt: skip

    def _mend(self) -> str:
        return "run: audiometry data build spoof"


def _equal(clips: Sequence[Clip]) -> list[Clip]:
    """As many trials of every attack as of the one with the fewest, drawn by their names; all bona fide ones."""
    by_attack: dict[str, list[Clip]] = {}
    for clip in clips:
        by_attack.setdefault(clip.id.split("/")[2], []).append(clip)
    genuine = by_attack.pop(BONA_FIDE_NAME, [])
    fewest = min(map(len, by_attack.values()), default=0)
    kept = {clip.id for clip in genuine}
    for mine in by_attack.values():
        kept |= {clip.id for clip in sorted(mine, key=lambda clip: derive_seed(0, PROTOCOL, clip.id))[:fewest]}
    return [clip for clip in clips if clip.id in kept]


def open_embedded() -> SpoofEmbedded:
    """The corpus, whether it is prepared or not."""
    return SpoofEmbedded(
        name=NAME,
        language="en, es, fr, it, ru",
        licence="CC-BY-SA-3.0",
        citation="; ".join(dict.fromkeys(one.citation for one in speakers())),
        build=_build,
        notes=(f"protocol {PROTOCOL}", "seven speakers, two of them in the evaluation"),
    )


@corpus(
    NAME, needs="spoof", language="en, es, fr, it, ru", licence="CC-BY-SA-3.0", package="asterisk-core-sounds-*",
    speech="human and synthetic",
)  # fmt: skip
def spoof_embedded() -> SpoofEmbedded:
    """Bona fide and spoofed prompts: sixteen attacks, unseen speakers and attacks, five levels of equalisation."""
    return open_embedded()


def _build(folder: Path, source: str | None, report: Report) -> Built:
    """Make every trial, on every core."""
    MODELS.check(parse_spec("flite"))  # fetched once, here, and not by every process
    with tempfile.TemporaryDirectory(prefix="packages-", dir=folder.parent) as scratch:
        found, left_out = recordings(Path(scratch), source, report)
        planned = plan_trials(found)
        report(f"{NAME}: making {len(planned)} trials")
        work = [(trial, str(folder), number) for number, trial in enumerate(planned)]
        clips: list[Clip] = []
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
            for done, clip in enumerate(pool.map(_made, work, chunksize=CHUNK), 1):
                if clip is not None:
                    clips.append(clip)
                if done % TOLD_EVERY == 0:
                    report(f"{NAME}: {done} of {len(planned)}")
    _write_spectrum(folder, clips)
    return Built(
        clips,
        left_out | {"attack came out too short": len(planned) - len(clips)},
        origin={"protocol": PROTOCOL, **_versions()},
    )


def _one_thread() -> None:
    """There are as many processes as cores: threads of their own would only wait for each other."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def _made(work: tuple[PlannedTrial, str, int]) -> Clip | None:
    """Make and write one trial, in a process of its own; None for one with too little speech to be equalised."""
    trial, folder, number = work
    recording, speaker = trial.recording, trial.recording.speaker
    sound = beginning(read_file(recording.path))
    if trial.attack is not None:
        generator = np.random.default_rng(trial.seed)
        sound = make(trial.attack, sound, recording.text, speaker.language, generator)
        first, last = active_span(sound.samples.astype(np.float64))
        if last - first < SHORTEST * RATE:
            return None
    file = Path(folder) / "audio" / trial.set / f"{number:05}.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_wav(sound))
    return Clip(
        id=trial.id, file=file.relative_to(folder).as_posix(), sha256=sha256_of(file), bytes=file.stat().st_size,
        seconds=sound.seconds, text=recording.text, speaker=speaker.name, language=speaker.language,
        gender=speaker.gender, licence=speaker.licence,
    )  # fmt: skip


def _write_spectrum(folder: Path, clips: Sequence[Clip]) -> None:
    files = [folder / clip.file for clip in clips if clip.id.startswith(f"{NAME}/train/bona-fide/")]
    spectra = [long_term_spectrum(read_file(file).samples.astype(np.float64)) for file in files]
    mean = np.mean(spectra, axis=0)
    (folder / SPECTRUM).write_text(json.dumps([round(float(value), 2) for value in mean]), encoding="utf-8")


def _versions() -> Mapping[str, str]:
    return package_versions("pyworld-prebuilt", "librosa", "espeakng-loader", "hibari-tts", "numpy", "scipy")
