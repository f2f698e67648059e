"""SOMOS: opinion scores of 200 neural text-to-speech systems and natural speech, all of one voice.

``training_files/split1/{clean,full}/{TRAINSET,VALIDSET,TESTSET}`` hold one rating a line (systemId, utteranceId,
choice, listenerId); ``audios`` holds the recordings. `clean` leaves out test pages that failed a quality check.
"""

from __future__ import annotations

from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import find_recordings, read_table, refuse
from audiometry.tasks.corpora.rows import RatedUtterance, Rating

__all__ = ["somos"]

LICENCE = "CC-BY-NC-SA-4.0"
COLUMNS = ("systemId", "utteranceId", "choice", "listenerId")
SETS = {"test": "TESTSET", "valid": "VALIDSET", "train": "TRAINSET"}
NATURAL = "000"
"""The system that is a person."""

LAYOUT = Layout(
    name="somos",
    title="SOMOS",
    licence=LICENCE,
    citation="G. Maniati et al., SOMOS: the Samsung Open MOS dataset for the evaluation of neural text-to-speech "
    "synthesis, Proc. Interspeech 2022",
    homepage="https://zenodo.org/records/7378801",
    signs=tuple(f"training_files/split1/{kind}/{name}" for kind in ("clean", "full") for name in SETS.values()),
    splits=tuple(f"{kind}-{name}" for kind in ("clean", "full") for name in SETS),
    counts={"full-test": 3_000, "full-valid": 3_000, "full-train": 14_100},
    nested=("somos",),
    how="unpack somos.zip of https://zenodo.org/records/7378801, and audios.zip that is in it",
)


@corpus("somos", language="en", licence=LICENCE, kind="opinion scores")
def somos(*, path: str | None = None, split: str = "clean-test", partial: bool = False) -> CorpusFolder[RatedUtterance]:
    """SOMOS: each listener's rating of 201 systems that speak with one voice; clean or full, test, valid or train."""
    return CorpusFolder(LAYOUT, _scan, split, path, partial, language="en")


def _scan(root: Path, split: str) -> Scan[RatedUtterance]:
    kind, _, name = split.partition("-")
    listing = root / "training_files" / "split1" / kind / SETS[name]
    table = read_table(listing, COLUMNS)
    wrong = [
        (number, ",".join(row.values()))
        for number, row in enumerate(table, start=2)
        if row["choice"] not in {"1", "2", "3", "4", "5"} or not all(row[column] for column in COLUMNS)
    ]
    refuse(listing, wrong, len(table), "systemId,utteranceId,choice from 1 to 5,listenerId")
    ratings: dict[str, list[Rating]] = {}
    systems: dict[str, str] = {}
    for row in table:
        name = row["utteranceId"].removesuffix(".wav")
        ratings.setdefault(name, []).append(Rating(row["listenerId"], float(row["choice"])))
        systems[name] = row["systemId"]
    recordings = find_recordings([root / "audios"], (".wav",))
    rows = [
        RatedUtterance(
            id=name,
            audio=Audio(recordings[name]),
            system=systems[name],
            utterance=name.removesuffix(f"_{systems[name]}"),
            ratings=tuple(given),
            slices={"speech": "natural" if systems[name] == NATURAL else "synthetic"},
        )
        for name, given in ratings.items()
        if name in recordings
    ]
    return Scan(rows, len(ratings), [name for name in ratings if name not in recordings])
