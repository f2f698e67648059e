"""`tedlium`: TED-LIUM 3, English talks, in the layout of https://www.openslr.org/51.

``legacy/SPLIT/stm/TALK.stm`` lists the segments of ``legacy/SPLIT/sph/TALK.sph``: talk, channel, speaker, start, end, a
label in angle brackets, words. The legacy test and development sets are the usual ones. Lists and recordings may lie
in ``legacy/SPLIT`` itself too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive, Hub, Source
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import read_lines, recordings
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LAYOUT", "tedlium", "tidy_text"]

IGNORED = "ignore_time_segment_in_scoring"

LAYOUT = Layout(
    name="tedlium",
    title="TED-LIUM 3",
    licence="CC-BY-NC-ND-3.0",
    citation="Hernandez, Nguyen, Ghannay, Tomashenko, Estève: TED-LIUM 3, twice as much data and corpus repartition "
    "for experiments on speaker adaptation, SPECOM 2018",
    homepage="https://www.openslr.org/51",
    signs=("legacy/{split}/stm/*.stm", "legacy/{split}/*.stm"),
    splits=("test", "dev", "train"),
    counts={"test": 1155, "dev": 507},
    nested=("TEDLIUM_release-3", "TEDLIUM_release3"),
    how="fetch TEDLIUM_release-3.tgz from https://www.openslr.org/51, unpack it",
)


@corpus("tedlium", language="en", licence=LAYOUT.licence)
def tedlium(*, path: str | None = None, split: str = "test", partial: bool = False) -> SpeechFolder:
    """TED-LIUM 3: English talks cut into segments, 16 kHz, the legacy test and development sets."""
    small: Source = Hub("LIUM/tedlium", (f"TEDLIUM_release3/legacy/{split}.tar.gz",))
    whole: Source = Archive("https://www.openslr.org/resources/51/TEDLIUM_release-3.tgz")
    sources = (whole if split == "train" else small,)
    return SpeechFolder(LAYOUT, _scan, split, path, partial, language="en", sources=sources)


def tidy_text(words: str) -> str:
    """A transcript without marks of unknown words and noise, and with endings such as ``'s`` joined to their word.

    >>> tidy_text("it 's <unk> what we {NOISE} do n't know")
    "it's what we don't know"
    """
    spoken = re.sub(r"<unk>|\{NOISE\}|\[NOISE\]", " ", words)
    joined = re.sub(r" (n't)\b", r"\1", re.sub(r" +'", "'", " ".join(spoken.split())))
    return joined.strip()


@dataclass(frozen=True, slots=True)
class _Segment:
    talk: str
    speaker: str
    start: float
    end: float
    text: str


def _scan(root: Path, split: str) -> Scan[Utterance]:
    folder = root / "legacy" / split
    files = recordings(folder, (".sph", ".wav", ".flac"))
    lists = sorted([*folder.glob("stm/*.stm"), *folder.glob("*.stm")])
    segments = [segment for file in lists for segment in _read(file)]
    used = [segment for segment in segments if segment.text and segment.text != IGNORED]
    silent = sum(not segment.text for segment in segments)
    rows = [_utterance(one, files[one.talk]) for one in used if one.talk in files]
    missing = sorted({one.talk for one in used if one.talk not in files})
    lost = [one.talk for one in used if one.talk in missing]
    unlabelled = sorted(set(files) - {one.talk for one in segments})
    reasons = {"not to be scored": len(segments) - len(used) - silent, "without words": silent}
    excluded = {reason: number for reason, number in reasons.items() if number}
    return Scan(rows, len(used) + len(unlabelled), lost, unlabelled, excluded)


def _read(file: Path) -> list[_Segment]:
    segments = []
    for number, line in enumerate(read_lines(file), start=1):
        if line.startswith(";;"):
            continue
        fields = line.split(maxsplit=5)
        try:
            talk, _, speaker, start, end = fields[:5]
            times = float(start), float(end)
        except ValueError:
            times = math.nan, math.nan
        if not times[0] < times[1]:
            raise DataError(f"{file}, line {number}: is not talk, channel, speaker, start, end, words; fetch it again")
        words = re.sub(r"^<[^>]*>\s*", "", fields[5]) if len(fields) > 5 else ""
        text = words if words.strip() == IGNORED else tidy_text(words)
        segments.append(_Segment(talk, speaker, *times, text.strip()))
    return segments


def _utterance(one: _Segment, file: Path) -> Utterance:
    speaker = f"tedlium-{one.speaker}"
    audio = Audio(str(file), one.start, one.end, seconds=one.end - one.start)
    slices = {"language": "en", "speaker": speaker}
    identity = f"tedlium/{one.talk}/{round(one.start * 100):07d}-{round(one.end * 100):07d}"
    return Utterance(identity, audio, one.text, "en", speaker, "", slices)
