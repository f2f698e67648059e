"""AudioCaps: captions of AudioSet's sounds. The lists are official; the sounds come from YouTube, one file a clip.

A list ``SPLIT.csv`` has the columns audiocap_id, youtube_id, start_time, caption, one row a caption: five rows a clip
in `test` and `val`, one in `train`. Downloaders name the sounds in several ways; `file_names` tells which are found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import find_recordings, read_table
from audiometry.tasks.corpora.rows import CaptionedClip

__all__ = ["audiocaps", "file_names"]

LICENCE = "captions: MIT; each sound its own, as on YouTube"
SUFFIXES = (".wav", ".flac", ".mp3", ".m4a", ".ogg")
COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")

LAYOUT = Layout(
    name="audiocaps",
    title="AudioCaps",
    licence=LICENCE,
    citation="C. D. Kim, B. Kim, H. Lee and G. Kim, AudioCaps: generating captions for audios in the wild, "
    "Proc. NAACL 2019",
    homepage="https://github.com/cdjkim/audiocaps",
    signs=("{split}.csv", "dataset/{split}.csv"),
    splits=("test", "val", "train"),
    counts={"test": 975, "val": 495},
    unit="clips",
    how="put SPLIT.csv of https://github.com/cdjkim/audiocaps and the folder SPLIT with the sounds, cut to their 10 s, "
    "into one folder",
)


@corpus("audiocaps", language="en", licence=LICENCE, kind="captioned clips")
def audiocaps(*, path: str | None = None, split: str = "test", partial: bool = False) -> CorpusFolder[CaptionedClip]:
    """AudioCaps: 10 s of sound from YouTube with captions in English, five a clip in test and val."""
    return CorpusFolder(LAYOUT, _scan, split, path, partial, language="en")


def file_names(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Names that a clip's sound may have, without ending, from its rows in the list; the first that is there counts.

    >>> file_names([{"audiocap_id": "103549", "youtube_id": "7fmOlUlwoNg", "start_time": "0"}])
    ['7fmOlUlwoNg_0', 'Y7fmOlUlwoNg_0', '7fmOlUlwoNg', 'Y7fmOlUlwoNg', '103549']
    """
    video, start = rows[0]["youtube_id"], rows[0]["start_time"]
    return [f"{video}_{start}", f"Y{video}_{start}", video, f"Y{video}", *(row["audiocap_id"] for row in rows)]


def _scan(root: Path, split: str) -> Scan[CaptionedClip]:
    places = [root / folder / f"{split}.csv" for folder in ("", "dataset")]
    table = read_table(next(place for place in places if place.is_file()), COLUMNS)
    clips: dict[str, list[Mapping[str, str]]] = {}
    for row in table:
        clips.setdefault(row["youtube_id"], []).append(row)
    recordings = find_recordings((root / split, root / "audio" / split, root / "audio"), SUFFIXES)
    rows, missing, unlabelled = [], [], []
    for name, entries in clips.items():
        place = next((one for one in file_names(entries) if one in recordings), None)
        references = tuple(row["caption"].strip() for row in entries)
        if place is None:
            missing.append(name)
        elif not all(references):
            unlabelled.append(name)
        else:
            rows.append(CaptionedClip(name, Audio(recordings[place]), references))
    return Scan(rows, len(clips), missing, unlabelled)
