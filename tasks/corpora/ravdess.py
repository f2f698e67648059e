"""RAVDESS: 24 actors speak and sing two sentences with emotions; each file's name says everything.

``03-01-06-01-02-01-12.wav``: modality (03: sound only), vocal channel (01 speech, 02 song), emotion, intensity,
statement, repetition, actor (odd: male, even: female).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import find_recordings
from audiometry.tasks.corpora.rows import EmotionalUtterance

__all__ = ["EMOTIONS", "parse_name", "ravdess"]

LICENCE = "CC-BY-NC-SA-4.0"
CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad",
    "05": "angry", "06": "fearful", "07": "disgust", "08": "surprised",
}  # fmt: skip
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
NAME = re.compile(r"03-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")
ARCHIVES = {"speech": "Audio_Speech_Actors_01-24", "song": "Audio_Song_Actors_01-24"}

LAYOUT = Layout(
    name="ravdess",
    title="RAVDESS",
    licence=LICENCE,
    citation="S. R. Livingstone and F. A. Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song "
    "(RAVDESS), PLoS ONE 13(5), 2018",
    homepage="https://zenodo.org/records/1188976",
    signs=("Actor_[0-2][0-9]", *(f"{name}/Actor_[0-2][0-9]" for name in ARCHIVES.values())),
    splits=("speech", "song"),
    counts={"speech": 1_440, "song": 1_012},
    how="unpack Audio_Speech_Actors_01-24.zip (song: Audio_Song_Actors_01-24.zip) of "
    "https://zenodo.org/records/1188976",
)


@corpus("ravdess", language="en", licence=LICENCE, kind="emotional speech")
def ravdess(
    *, path: str | None = None, split: str = "speech", partial: bool = False
) -> CorpusFolder[EmotionalUtterance]:
    """RAVDESS: two sentences spoken (or sung: split song) by 24 actors with eight emotions, in two intensities."""
    address = "https://zenodo.org/records/1188976/files"
    sources = [Archive(f"{address}/{name}.zip") for kind, name in ARCHIVES.items() if kind == split]
    return CorpusFolder(LAYOUT, _scan, split, path, partial, language="en", sources=tuple(sources))


def parse_name(name: str) -> tuple[str, EmotionalUtterance] | None:
    """Read a file's name without ending: the vocal channel, and the row without its sound; None for any other name.

    >>> channel, row = parse_name("03-01-06-02-02-01-12")
    >>> channel, row.emotion, row.intensity, row.text, row.actor, row.gender
    ('speech', 'fearful', 'strong', 'Dogs are sitting by the door.', '12', 'female')
    """
    match = NAME.fullmatch(name)
    if match is None:
        return None
    channel, emotion, intensity, statement, repetition, actor = match.groups()
    gender = "male" if int(actor) % 2 else "female"
    facts = {"emotion": EMOTIONS[emotion], "intensity": INTENSITIES[intensity], "gender": gender, "actor": actor}
    row = EmotionalUtterance(
        id=name,
        audio=Audio(""),
        emotion=facts["emotion"],
        intensity=facts["intensity"],
        text=STATEMENTS[statement],
        actor=actor,
        gender=gender,
        slices={**facts, "repetition": repetition},
    )
    return CHANNELS[channel], row


def _scan(root: Path, split: str) -> Scan[EmotionalUtterance]:
    folders = [place for above in ("", *ARCHIVES.values()) for place in sorted((root / above).glob("Actor_[0-2][0-9]"))]
    rows, unlabelled = [], []
    for name, path in find_recordings(folders, (".wav",)).items():
        parsed = parse_name(name)
        if parsed is None:
            unlabelled.append(name)
        elif parsed[0] == split:
            rows.append(replace(parsed[1], audio=Audio(path)))
    return Scan(rows, len(rows) + len(unlabelled), (), unlabelled)
