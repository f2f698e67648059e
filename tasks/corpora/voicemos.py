"""BVCC, the main track of the VoiceMOS Challenge 2022: eight ratings each of 7,106 utterances by 187 systems.

The official folder ``DATA`` holds ``mydata_system.csv`` (means by system, not read), ``wav`` and ``sets``. A line of
``sets/TRAINSET``, ``DEVSET`` or ``TESTSET`` is one rating: system, recording, rating, a field that is not used, and the
listener as ``{}_AGES_LISTENER_GENDER_…_…_IMPAIRED`` (whether the hearing is impaired).
"""

from __future__ import annotations

from pathlib import Path

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import find_recordings, parse_lines
from audiometry.tasks.corpora.rows import RatedUtterance, Rating

__all__ = ["parse_rating", "voicemos_bvcc"]

LICENCE = "ratings: BSD-3-Clause; samples: their sources' (Blizzard and Voice Conversion Challenges, ESPnet-TTS)"
SETS = {"test": "TESTSET", "dev": "DEVSET", "train": "TRAINSET"}
GENDERS = {"Female": "female", "Male": "male", "Others": "other"}

LAYOUT = Layout(
    name="voicemos-bvcc",
    title="BVCC (VoiceMOS Challenge 2022, main track)",
    licence=LICENCE,
    citation="E. Cooper and J. Yamagishi, How do voices from past speech synthesis challenges compare today?, Proc. "
    "SSW 2021; W.-C. Huang et al., The VoiceMOS Challenge 2022, Proc. Interspeech 2022",
    homepage="https://zenodo.org/records/6572573",
    signs=("sets/TRAINSET", "sets/DEVSET", "sets/TESTSET"),
    splits=tuple(SETS),
    counts={"test": 1_066, "dev": 1_066, "train": 4_974},
    nested=("DATA", "main/DATA", "phase1-main/DATA"),
    how="unpack main.tar.gz of https://zenodo.org/records/6572573 and run the scripts in it that fetch the samples of "
    "the Blizzard Challenges",
)


@corpus("voicemos-bvcc", language="en", licence=LICENCE, kind="opinion scores")
def voicemos_bvcc(
    *, path: str | None = None, split: str = "test", partial: bool = False
) -> CorpusFolder[RatedUtterance]:
    """BVCC of the VoiceMOS Challenge 2022: each listener's rating of synthesised and natural English speech."""
    return CorpusFolder(LAYOUT, _scan, split, path, partial, language="en")


def parse_rating(fields: list[str]) -> tuple[str, str, Rating] | None:
    """Read a line's fields: system, recording without ending, and the rating; None for any other line.

    >>> line = "sys64e2f,sys64e2f-utt9c183cd.wav,4,VDP1ovyrBzg8_1,{}_30-39_bZPQE7w4Zl3g_Female_Valid_1_No"
    >>> system, name, rating = parse_rating(line.split(","))
    >>> system, name, rating.rater, rating.value, dict(rating.slices)
    ('sys64e2f', 'sys64e2f-utt9c183cd', 'bZPQE7w4Zl3g', 4.0, {'age': '30-39', 'gender': 'female', 'hearing': 'normal'})
    """
    if len(fields) != 5 or fields[2] not in {"1", "2", "3", "4", "5"} or not fields[1].startswith(f"{fields[0]}-"):
        return None
    listener = fields[4].split("_")
    if len(listener) != 7:
        return None
    facts = {
        "age": listener[1],
        "gender": GENDERS.get(listener[3], ""),
        "hearing": {"No": "normal", "Yes": "impaired"}.get(listener[6], ""),
    }
    known = {name: value for name, value in facts.items() if value}
    return fields[0], fields[1].removesuffix(".wav"), Rating(listener[2], float(fields[2]), known)


def _scan(root: Path, split: str) -> Scan[RatedUtterance]:
    listing = root / "sets" / SETS[split]
    if not listing.is_file():
        raise DataError(f"{root}: the ratings of split {split!r} are missing: there is no sets/{SETS[split]}")
    ratings: dict[str, list[Rating]] = {}
    systems: dict[str, str] = {}
    form = "system,recording,rating from 1 to 5,-,listener"
    for system, name, rating in parse_lines(listing, parse_rating, form, separator=","):
        ratings.setdefault(name, []).append(rating)
        systems[name] = system
    recordings = find_recordings([root / "wav"], (".wav",))
    rows = [
        RatedUtterance(name, Audio(recordings[name]), systems[name], name.partition("-")[2], tuple(given))
        for name, given in ratings.items()
        if name in recordings
    ]
    return Scan(rows, len(ratings), [name for name in ratings if name not in recordings])
