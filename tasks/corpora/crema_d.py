"""CREMA-D: 91 actors say twelve sentences with six emotions; ``AudioWAV`` and ``VideoDemographics.csv``.

A file's name is ``1001_DFA_ANG_XX.wav``: actor, sentence, emotion, intensity (LO, MD, HI, XX: not specified). One file
of the corpus, ``1040_ITH_SAD_X.wav``, has a single X; ``1076_MTI_SAD_XX.wav`` is silent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import find_recordings, read_table
from audiometry.tasks.corpora.rows import EmotionalUtterance

__all__ = ["EMOTIONS", "SENTENCES", "crema_d", "parse_name"]

LICENCE = "ODbL-1.0"
EMOTIONS = {
    "ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad",
}  # fmt: skip
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
NAME = re.compile(rf"(\d{{4}})_({'|'.join(SENTENCES)})_({'|'.join(EMOTIONS)})_({'|'.join(INTENSITIES)})")
POINTER = b"version https://git-lfs"
LARGEST_POINTER = 200

LAYOUT = Layout(
    name="crema-d",
    title="CREMA-D",
    licence=LICENCE,
    citation="H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova and R. Verma, CREMA-D: crowd-sourced "
    "emotional multimodal actors dataset, IEEE Transactions on Affective Computing 5(4), 2014",
    homepage="https://github.com/CheyneyComputerScience/CREMA-D",
    signs=("AudioWAV", "VideoDemographics.csv"),
    splits=("all",),
    counts={"all": 7_442},
    nested=("CREMA-D", "CREMA-D-master"),
    how="clone https://github.com/CheyneyComputerScience/CREMA-D with Git LFS",
)


@corpus("crema-d", language="en", licence=LICENCE, kind="emotional speech")
def crema_d(*, path: str | None = None, partial: bool = False) -> CorpusFolder[EmotionalUtterance]:
    """CREMA-D: twelve sentences spoken by 91 actors of many backgrounds with six emotions."""
    return CorpusFolder(LAYOUT, _scan, path=path, partial=partial, language="en")


def parse_name(name: str) -> tuple[str, str, str, str] | None:
    """Read a file's name without ending: actor, sentence, emotion, intensity; None for any other name.

    >>> parse_name("1001_DFA_ANG_XX")
    ('1001', "Don't forget a jacket.", 'angry', 'unspecified')
    """
    match = NAME.fullmatch(name)
    if match is None:
        return None
    actor, sentence, emotion, intensity = match.groups()
    return actor, SENTENCES[sentence], EMOTIONS[emotion], INTENSITIES[intensity]


def _scan(root: Path, _: str) -> Scan[EmotionalUtterance]:
    actors = _demographics(root / "VideoDemographics.csv")
    recordings = find_recordings([root / "AudioWAV"], (".wav",))
    _refuse_pointers(recordings)
    rows, unlabelled = [], []
    for name, path in recordings.items():
        parsed = parse_name(name)
        if parsed is None or parsed[0] not in actors:
            unlabelled.append(name)
            continue
        actor, text, emotion, intensity = parsed
        facts = actors[actor]
        slices = {"emotion": emotion, "intensity": intensity, **facts}
        rows.append(
            EmotionalUtterance(name, Audio(path), emotion, intensity, text, actor, facts.get("gender", ""), slices)
        )
    return Scan(rows, len(recordings), (), unlabelled)


def _demographics(path: Path) -> dict[str, dict[str, str]]:
    """Gender, age group (by decade), race and ethnicity by actor; a fact that is not known is left out."""
    table = read_table(path, ("ActorID", "Age", "Sex", "Race", "Ethnicity"))
    facts = {
        row["ActorID"]: {
            "gender": row["Sex"].lower(),
            "age": f"{int(row['Age']) // 10 * 10}s" if row["Age"].isdecimal() else "",
            "race": row["Race"],
            "ethnicity": row["Ethnicity"],
        }
        for row in table
    }
    return {actor: {name: value for name, value in known.items() if value} for actor, known in facts.items()}


def _refuse_pointers(recordings: Mapping[str, str]) -> None:
    """Raise DataError where files hold no sound but Git LFS' note of where it is: a clone or download without it."""
    pointers = [name for name, path in recordings.items() if _is_pointer(Path(path))]
    if pointers:
        raise DataError(
            f"{len(pointers):,} of {len(recordings):,} recordings are pointers of Git LFS without sound, first "
            f"{pointers[0]}; run git lfs pull in the clone"
        )


def _is_pointer(path: Path) -> bool:
    return path.stat().st_size < LARGEST_POINTER and path.read_bytes().startswith(POINTER)
