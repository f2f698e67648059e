"""AudioSet: 10 s of sound from YouTube with the events heard in it, from an ontology of 527 classes in use.

The lists are official: ``eval_segments.csv``, ``balanced_train_segments.csv``, ``unbalanced_train_segments.csv`` (three
lines of comment, then ``YTID, start_seconds, end_seconds, "labels"``), and ``class_labels_indices.csv`` (index, mid,
display_name). The sounds come from YouTube, one file a segment; `file_names` tells which names are found.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import check_unique, find_recordings, read_table, refuse, split_lines
from audiometry.tasks.corpora.rows import SoundClip

__all__ = ["AudioSetFolder", "Segment", "audioset", "file_names", "parse_segment"]

LICENCE = "labels: CC-BY-4.0; ontology: CC-BY-SA-4.0; each sound its own, as on YouTube"
SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
CLASSES = "class_labels_indices.csv"

LAYOUT = Layout(
    name="audioset",
    title="AudioSet",
    licence=LICENCE,
    citation="J. F. Gemmeke et al., Audio Set: an ontology and human-labeled dataset for audio events, "
    "Proc. ICASSP 2017",
    homepage="https://research.google.com/audioset/download.html",
    signs=("{split}_segments.csv",),
    splits=("eval", "balanced_train", "unbalanced_train"),
    counts={"eval": 20_371, "balanced_train": 22_160, "unbalanced_train": 2_041_789},
    unit="clips",
    how="put SPLIT_segments.csv and class_labels_indices.csv of https://research.google.com/audioset/download.html and "
    "the folder SPLIT_segments with the sounds, cut to their 10 s, into one folder",
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A line of a list: a span of a video in seconds, and the codes of its events in the ontology."""

    video: str
    start: float
    end: float
    codes: tuple[str, ...]


@dataclass(frozen=True)
class AudioSetFolder(CorpusFolder[SoundClip]):
    """A split, and the names of all classes."""

    def classes(self) -> list[str]:
        """Every class' name, in the official order (by index).

        Raises DataError where the split or the list of classes is not there.
        """
        self.rows()
        return list(_class_names(self.layout.root(self.folder) or self.folder).values())


@corpus("audioset", licence=LICENCE, kind="sound events")
def audioset(*, path: str | None = None, split: str = "eval", partial: bool = False) -> AudioSetFolder:
    """AudioSet: 10 s of sound from YouTube with the events heard in it, 527 classes."""
    return AudioSetFolder(LAYOUT, _scan, split, path, partial)


def parse_segment(fields: list[str]) -> Segment | None:
    """Read the fields of a line: video, start, end, labels with commas between them; None for any other line.

    >>> parse_segment(["-0RWZT-miFs", "420.000", "430.000", "/m/03v3yw,/m/0k4j"])
    Segment(video='-0RWZT-miFs', start=420.0, end=430.0, codes=('/m/03v3yw', '/m/0k4j'))
    """
    if len(fields) != 4 or not fields[0] or not fields[3]:
        return None
    try:
        start, end = float(fields[1]), float(fields[2])
    except ValueError:
        return None
    return Segment(fields[0], start, end, tuple(fields[3].split(",")))


def file_names(segment: Segment) -> list[str]:
    """Names that a segment's sound may have, without ending; the first that is there counts.

    >>> file_names(Segment("-0RWZT-miFs", 420.0, 430.0, ()))[:3]
    ['-0RWZT-miFs', 'Y-0RWZT-miFs', '-0RWZT-miFs_420.000']
    """
    video, start, end = segment.video, segment.start, segment.end
    return [
        video,
        f"Y{video}",
        f"{video}_{start:.3f}",
        f"{video}_{start:.3f}_{end:.3f}",
        f"{video}_{start:g}",
        f"{video}_{start:g}_{end:g}",
        f"{video}_{1000 * start:.0f}_{1000 * end:.0f}",
    ]


def _scan(root: Path, split: str) -> Scan[SoundClip]:
    listing = root / f"{split}_segments.csv"
    names = _class_names(root)
    segments = _segments(listing, names)
    folders = [root / above / f"{split}{end}" for above in ("", "audio") for end in ("_segments", "")]
    recordings = find_recordings(folders, SUFFIXES)
    rows, missing = [], []
    for segment in segments:
        place = next((one for one in file_names(segment) if one in recordings), None)
        if place is None:
            missing.append(segment.video)
        else:
            events = tuple(names[code] for code in segment.codes)
            rows.append(SoundClip(segment.video, Audio(recordings[place]), events))
    return Scan(rows, len(segments), missing)


def _segments(listing: Path, names: Mapping[str, str]) -> list[Segment]:
    """The list's segments, all of whose codes are known.

    Raises DataError where lines are of another form or name a class that is not in the list of classes.
    """
    segments, wrong = [], []
    for number, line in split_lines(listing):
        if line.startswith("#"):
            continue
        segment = parse_segment(_fields(line))
        if segment is None or not all(code in names for code in segment.codes):
            wrong.append((number, line))
        else:
            segments.append(segment)
    refuse(
        listing, wrong, len(segments) + len(wrong), f'YTID, start_seconds, end_seconds, "labels" that {CLASSES} names'
    )
    check_unique(listing, (segment.video for segment in segments))
    return segments


def _fields(line: str) -> list[str]:
    """The fields of a line, none for one that is cut off within quotes."""
    try:
        return next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error:
        return []


def _class_names(root: Path) -> dict[str, str]:
    """Display name by code, in the order of the index."""
    table = read_table(root / CLASSES, ("index", "mid", "display_name"))
    return {row["mid"]: row["display_name"] for row in table}
