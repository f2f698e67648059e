"""Clotho: sounds from Freesound, each with five captions; ``clotho_captions_SPLIT.csv`` and a folder a split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import check_unique, find_recordings, read_table
from audiometry.tasks.corpora.rows import CaptionedClip

__all__ = ["clotho"]

LICENCE = "captions: Tampere University's, for academic use; each sound its own, in clotho_metadata_*.csv"
CAPTIONS = tuple(f"caption_{number}" for number in range(1, 6))

LAYOUT = Layout(
    name="clotho",
    title="Clotho",
    licence=LICENCE,
    citation="K. Drossos, S. Lipping and T. Virtanen, Clotho: an audio captioning dataset, Proc. ICASSP 2020",
    homepage="https://zenodo.org/records/4783391",
    signs=("clotho_captions_{split}.csv",),
    splits=("evaluation", "validation", "development"),
    counts={"evaluation": 1_045, "validation": 1_045, "development": 3_839},
    unit="clips",
    how="unpack clotho_audio_SPLIT.7z of https://zenodo.org/records/4783391 (version 2.1) beside "
    "clotho_captions_SPLIT.csv",
)


@corpus("clotho", language="en", licence=LICENCE, kind="captioned clips")
def clotho(*, path: str | None = None, split: str = "evaluation", partial: bool = False) -> CorpusFolder[CaptionedClip]:
    """Clotho 2.1: 15 to 30 s of sound from Freesound, each with five captions in English."""
    return CorpusFolder(LAYOUT, _scan, split, path, partial, language="en")


def _scan(root: Path, split: str) -> Scan[CaptionedClip]:
    captions = root / f"clotho_captions_{split}.csv"
    table = read_table(captions, ("file_name", *CAPTIONS))
    check_unique(captions, (row["file_name"] for row in table))
    archive = root / f"clotho_audio_{split}"
    folder = next((place for place in (root / split, archive / split) if place.is_dir()), archive)
    recordings = find_recordings([folder], (".wav",))
    rows, missing, unlabelled = [], [], []
    for row in table:
        name = row["file_name"].removesuffix(".wav")
        references = _references(row)
        if name not in recordings:
            missing.append(name)
        elif len(references) < len(CAPTIONS):
            unlabelled.append(name)
        else:
            rows.append(CaptionedClip(name, Audio(recordings[name]), references))
    listed = {row["file_name"].removesuffix(".wav") for row in table}
    unlisted = sorted(recordings.keys() - listed)
    return Scan(rows, len(table) + len(unlisted), missing, [*unlabelled, *unlisted])


def _references(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(text for column in CAPTIONS if (text := row[column].strip()))
