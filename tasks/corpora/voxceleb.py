"""VoxCeleb1's verification trials: pairs of utterances from interviews, in the lists of its makers.

A line of a list is ``1 id10270/5r0dWxy17C8/00001.wav id10270/x6uYqmx31kE/00001.wav``: 1 where one speaker says both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import find_recordings, parse_lines, read_table
from audiometry.tasks.corpora.rows import SpeakerUtterance, VerificationTrial

__all__ = ["LISTS", "VoxCelebFolder", "parse_trial", "voxceleb1"]

LICENCE = "CC-BY-4.0"

LISTS = {
    "O": "veri_test2.txt",
    "E": "list_test_all2.txt",
    "H": "list_test_hard2.txt",
    "O-original": "veri_test.txt",
    "E-original": "list_test_all.txt",
    "H-original": "list_test_hard.txt",
}
"""The list of each split. `O`, `E` and `H` are the cleaned lists, which their makers recommend."""

LAYOUT = Layout(
    name="voxceleb1",
    title="VoxCeleb1",
    licence=LICENCE,
    citation="A. Nagrani, J. S. Chung, W. Xie and A. Zisserman, VoxCeleb: large-scale speaker verification in the "
    "wild, Computer Speech and Language 60, 2020",
    homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html",
    signs=("veri_test*.txt", "meta/veri_test*.txt", "list_test_*.txt", "meta/list_test_*.txt", "wav/id1*"),
    splits=tuple(LISTS),
    counts={
        "O": 37_611, "E": 579_818, "H": 550_894,
        "O-original": 37_720, "E-original": 581_480, "H-original": 552_536,
    },
    unit="trials",
    how="unpack vox1_test_wav.zip (for E and H vox1_dev_wav.zip too) and put the list of trials and vox1_meta.csv "
    "of https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html beside the folder wav",
)  # fmt: skip

GENDERS = {"f": "female", "m": "male"}

Pair = tuple[bool, str, str]


def parse_trial(fields: list[str]) -> Pair | None:
    """Read a line of a list of trials: whether it is a target trial, and both recordings; None for any other line.

    >>> parse_trial("0 id10270/5r0dWxy17C8/00001.wav id10300/ize_eiCFEg0/00003.wav".split())
    (False, 'id10270/5r0dWxy17C8/00001', 'id10300/ize_eiCFEg0/00003')
    """
    if len(fields) != 3 or fields[0] not in {"0", "1"} or not all(one.count("/") == 2 for one in fields[1:]):
        return None
    return fields[0] == "1", fields[1].removesuffix(".wav"), fields[2].removesuffix(".wav")


@dataclass(frozen=True)
class VoxCelebFolder(CorpusFolder[VerificationTrial]):
    """A list of trials (`rows`), and the utterances that it names."""

    def utterances(self) -> Iterator[SpeakerUtterance]:
        """Each utterance that a trial names, once, in the order of the list.

        Raises what `rows` raises, at once.
        """
        trials = self.rows()
        root = self.layout.root(self.folder) or self.folder
        names = dict.fromkeys(name for trial in trials for name in (trial.enrolment, trial.test))
        recordings, speakers = _recordings(root), _speakers(root)
        return (_utterance(name, recordings[name], speakers) for name in names)


@corpus("voxceleb1", licence=LICENCE, kind="verification trials")
def voxceleb1(*, path: str | None = None, split: str = "O", partial: bool = False) -> VoxCelebFolder:
    """VoxCeleb1 verification trials: the lists O, E and H (cleaned), and as first published (O-original, …)."""
    return VoxCelebFolder(LAYOUT, _scan, split, path, partial)


def _scan(root: Path, split: str) -> Scan[VerificationTrial]:
    places = [root / folder / LISTS[split] for folder in ("", "meta")]
    trials = next((place for place in places if place.is_file()), None)
    if trials is None:
        raise DataError(f"{root}: the list of trials {split} is missing: there is no {LISTS[split]}; put it there")
    pairs = parse_lines(trials, parse_trial, "0 or 1, recording, recording")
    recordings, speakers = _recordings(root), _speakers(root)
    rows, missing = [], []
    for target, enrolment, test in pairs:
        absent = [name for name in (enrolment, test) if name not in recordings]
        if absent:
            missing.append(absent[0])
        else:
            rows.append(VerificationTrial(enrolment, test, target, _trial_slices(enrolment, test, speakers)))
    return Scan(rows, len(pairs), missing)


def _recordings(root: Path) -> dict[str, str]:
    return find_recordings((root / "wav", root / "vox1_test_wav" / "wav", root / "vox1_dev_wav" / "wav"), (".wav",))


def _speakers(root: Path) -> dict[str, dict[str, str]]:
    """Gender and nationality by speaker; nothing where ``vox1_meta.csv`` is not there."""
    places = (root / folder / "vox1_meta.csv" for folder in ("", "meta"))
    meta = next((place for place in places if place.is_file()), None)
    if meta is None:
        return {}
    table = read_table(meta, ("VoxCeleb1 ID", "Gender", "Nationality"), delimiter="\t")
    return {
        row["VoxCeleb1 ID"]: {"gender": GENDERS.get(row["Gender"], ""), "nationality": row["Nationality"]}
        for row in table
    }


def _utterance(name: str, path: str, speakers: Mapping[str, Mapping[str, str]]) -> SpeakerUtterance:
    speaker = _speaker(name)
    facts = {fact: value for fact, value in speakers.get(speaker, {}).items() if value}
    return SpeakerUtterance(name, Audio(path), speaker, facts.get("gender", ""), facts)


def _trial_slices(enrolment: str, test: str, speakers: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Facts that both speakers share, ``different`` where they do not; a fact that is not known makes no slice."""
    first, second = (speakers.get(_speaker(name), {}) for name in (enrolment, test))
    return {
        fact: value if value == second.get(fact) else "different"
        for fact, value in first.items()
        if value and second.get(fact)
    }


def _speaker(name: str) -> str:
    return name.split("/", 1)[0]
