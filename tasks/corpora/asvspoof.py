"""ASVspoof 2019 LA, 2021 LA and DF, and ASVspoof 5 track 1: spoofed and bona fide speech, in their official layouts.

The columns of the protocols are those of the corpora's own README files and of the 2021 evaluation package
(``eval-package/config.py`` of github.com/asvspoof-challenge/2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import check_unique, find_recordings, parse_lines
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF, Label, SpoofingTrial

__all__ = [
    "asvspoof5",
    "asvspoof2019_la",
    "asvspoof2021_df",
    "asvspoof2021_la",
    "parse_5",
    "parse_2019",
    "parse_2021_df",
    "parse_2021_la",
]

Parse = Callable[[list[str]], SpoofingTrial | None]

LABELS: Mapping[str, Label] = {"bonafide": BONA_FIDE, "spoof": SPOOF}
GENDERS = {"F": "female", "M": "male"}
PHASES = ("eval", "progress", "hidden")
ODC_BY = "ODC-By-1.0"

LAYOUT_2019 = Layout(
    name="asvspoof2019-la",
    title="ASVspoof 2019 LA",
    licence=ODC_BY,
    citation="X. Wang et al., ASVspoof 2019: a large-scale public database of synthesized, converted and replayed "
    "speech, Computer Speech and Language 64, 2020",
    homepage="https://datashare.ed.ac.uk/handle/10283/3336",
    signs=(
        "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{split}.trn.txt",
        "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{split}.trl.txt",
    ),
    splits=("eval", "dev", "train"),
    counts={"eval": 71_237, "dev": 24_844, "train": 25_380},
    nested=("LA",),
    unit="trials",
    how="unpack LA.zip of https://datashare.ed.ac.uk/handle/10283/3336",
)

CITATION_2021 = (
    "X. Liu et al., ASVspoof 2021: towards spoofed and deepfake speech detection in the wild, IEEE/ACM Transactions "
    "on Audio, Speech, and Language Processing 31, 2023"
)

LAYOUT_2021_LA = Layout(
    name="asvspoof2021-la",
    title="ASVspoof 2021 LA",
    licence=ODC_BY,
    citation=CITATION_2021,
    homepage="https://www.asvspoof.org/index2021.html",
    signs=("keys/LA/CM/trial_metadata.txt", "LA-keys-full/keys/LA/CM/trial_metadata.txt", "ASVspoof2021_LA_eval/flac"),
    splits=PHASES,
    counts={"eval": 148_176, "progress": 16_464, "hidden": 16_926},
    unit="trials",
    how="unpack ASVspoof2021_LA_eval.tar.gz (https://zenodo.org/records/4837263) and LA-keys-full.tar.gz "
    "(https://www.asvspoof.org/index2021.html) into one folder",
)

LAYOUT_2021_DF = Layout(
    name="asvspoof2021-df",
    title="ASVspoof 2021 DF",
    licence=ODC_BY,
    citation=CITATION_2021,
    homepage="https://www.asvspoof.org/index2021.html",
    signs=(
        "keys/DF/CM/trial_metadata.txt",
        "DF-keys-full/keys/DF/CM/trial_metadata.txt",
        "ASVspoof2021_DF_eval/flac",
        "ASVspoof2021_DF_eval_part0*/ASVspoof2021_DF_eval/flac",
    ),
    splits=PHASES,
    counts={"eval": 533_928, "progress": 59_325, "hidden": 18_576},
    unit="trials",
    how="unpack ASVspoof2021_DF_eval_part00 to part03.tar.gz (https://zenodo.org/records/4835108) and "
    "DF-keys-full.tar.gz (https://www.asvspoof.org/index2021.html) into one folder",
)

LAYOUT_5 = Layout(
    name="asvspoof5",
    title="ASVspoof 5",
    licence=f"{ODC_BY} (its bona fide speech: CC-BY-4.0)",
    citation="X. Wang et al., ASVspoof 5: crowdsourced speech data, deepfakes, and adversarial attacks at scale, "
    "Proc. ASVspoof Workshop 2024, doi 10.21437/ASVspoof.2024-1",
    homepage="https://zenodo.org/records/14498691",
    signs=tuple(
        f"{folder}ASVspoof5.{{split}}{track}.tsv"
        for folder in ("", "ASVspoof5_protocols/")
        for track in ("", ".track_1")
    ),
    splits=("eval", "dev", "train"),
    counts={"eval": 680_774, "dev": 140_950, "train": 182_357},
    unit="trials",
    how="unpack ASVspoof5_protocols.tar.gz and the split's flac_*.tar of https://zenodo.org/records/14498691",
)

PROTOCOLS_2019 = {"train": "train.trn", "dev": "dev.trl", "eval": "eval.trl"}
FOLDERS_5 = {"train": ("flac_T",), "dev": ("flac_D",), "eval": ("flac_E_eval", "flac_E")}
PROTOCOLS_5 = {"train": "train", "dev": "dev.track_1", "eval": "eval.track_1"}

ARCHIVES_5 = {
    "train": {
        "aa": "b0cc86b14826a7701b52aad4f53daf9c", "ab": "d05be3f4be7a343fdbdd0ed29fdff2e1",
        "ac": "70d1ba4ad75a20aef3dae541fbd321e3", "ad": "c9bb56af2cc410d98338d74babcb95c9",
        "ae": "a3969816982f3e52300d6147ad796df7",
    },
    "dev": {
        "aa": "df0be44957623991028cce59792beb17", "ab": "1e8cd685d89b64502692f1bcf1a13db3",
        "ac": "5e0031f08c30e4bdbf0c59f91b2d662b",
    },
    "eval": {
        "aa": "a8c800766f3d4ef87971e2b4f29663e2", "ab": "c35064188f54f07c87aba58de22534a0",
        "ac": "ed7cbcd1b2847998b72472ddf6b445e3", "ad": "626a080e994b05df49c577d7b3dede8d",
        "ae": "05f19a5e64fa556714ae1b38eb2ea70b", "af": "2ca2f52a3bbf827f7ec155ecb47e85d6",
        "ag": "671200b5de2fc1e74a563b07b057af8f", "ah": "eaf885b1299a61eb07f71e82e96dba37",
        "ai": "b2625683bf440abae2af901a45542ad9", "aj": "c50281c8233af6f3b0899604d21ade44",
    },
}  # fmt: skip
"""The archives of ASVspoof 5's splits and their MD5, from its README."""


def parse_2019(fields: list[str]) -> SpoofingTrial | None:
    """Read a line of an ASVspoof 2019 LA protocol: speaker, recording, -, attack, key; None for any other line.

    >>> trial = parse_2019("LA_0079 LA_T_1004644 - A01 spoof".split())
    >>> trial.id, trial.label, trial.attack, trial.speaker
    ('LA_T_1004644', 'spoof', 'A01', 'LA_0079')
    """
    if len(fields) != 5 or fields[4] not in LABELS:
        return None
    return _trial(fields[1], fields[4], fields[3], fields[0], "", "none", {})


def parse_2021_la(fields: list[str]) -> SpoofingTrial | None:
    """Read a line of the 2021 LA key: speaker, recording, codec, transmission, attack, key, trim, phase.

    The phase is left in the slices, under ``phase``.

    >>> trial = parse_2021_la("LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval".split())
    >>> trial.attack, trial.codec, dict(trial.slices)
    ('A07', 'alaw', {'attack': 'A07', 'codec': 'alaw', 'transmission': 'ita_tx', 'trim': 'notrim', 'phase': 'eval'})
    """
    if len(fields) != 8 or fields[5] not in LABELS or fields[7] not in PHASES:
        return None
    more = {"transmission": fields[3], "trim": fields[6], "phase": fields[7]}
    return _trial(fields[1], fields[5], fields[4], fields[0], "", fields[2], more)


def parse_2021_df(fields: list[str]) -> SpoofingTrial | None:
    """Read a line of the 2021 DF key, of 13 fields: speaker, recording, compression, source, attack, key, trim, …

    … phase, vocoder, and four that are known for the Voice Conversion Challenges only (task, team, gender pair,
    language).

    >>> line = "LA_0043 DF_E_2000026 mp3m4a asvspoof A09 spoof notrim eval traditional_vocoder - - - -"
    >>> trial = parse_2021_df(line.split())
    >>> trial.attack, trial.codec, trial.slices["vocoder"], trial.slices["source"], "language" in trial.slices
    ('A09', 'mp3m4a', 'traditional_vocoder', 'asvspoof', False)
    """
    if len(fields) != 13 or fields[5] not in LABELS or fields[7] not in PHASES:
        return None
    vocoder = fields[8] if LABELS[fields[5]] == SPOOF else ""
    more = {"source": fields[3], "trim": fields[6], "phase": fields[7], "vocoder": vocoder, "language": fields[12]}
    codec = "none" if fields[2] == "nocodec" else fields[2]
    return _trial(fields[1], fields[5], fields[4], fields[0], "", codec, more)


def parse_5(fields: list[str]) -> SpoofingTrial | None:
    """Read a line of an ASVspoof 5 track 1 protocol, of 10 fields.

    They are: speaker, recording, gender, codec, codec quality, the recording that was coded, attacker's adaptation,
    attack, key, and one that is not used.

    >>> trial = parse_5("E_1607 E_0009538969 M C01 2 E_0000000001 AC3 A17 spoof -".split())
    >>> trial.attack, trial.codec, trial.gender, trial.slices["codec quality"]
    ('A17', 'C01', 'male', '2')
    """
    if len(fields) != 10 or fields[8] not in LABELS:
        return None
    codec, gender = ("none" if fields[3] == "-" else fields[3]), GENDERS.get(fields[2], "")
    quality = fields[4] if codec != "none" else ""
    return _trial(fields[1], fields[8], fields[7], fields[0], gender, codec, {"codec quality": quality})


def _trial(
    name: str, key: str, attack: str, speaker: str, gender: str, codec: str, more: Mapping[str, str]
) -> SpoofingTrial:
    """A trial whose recording is still to be found."""
    label = LABELS[key]
    made_by = attack if label == SPOOF else ""
    slices = _slices(("attack", made_by), ("gender", gender), ("codec", codec), *more.items())
    return SpoofingTrial(name, Audio(""), label, made_by, speaker, gender, codec, slices)


@cache  # hundreds of thousands of trials share a few thousand sets of facts
def _slices(*facts: tuple[str, str]) -> Mapping[str, str]:
    """What is known; a fact that is not makes no slice."""
    return {fact: value for fact, value in facts if value not in {"", "-"}}


def _scan(protocol: Path, folders: list[Path], parse: Parse, form: str, phase: str = "") -> Scan[SpoofingTrial]:
    """The trials of a protocol (of one `phase`) whose recordings are in `folders`; the others are missing."""
    trials = parse_lines(protocol, parse, form)
    check_unique(protocol, (trial.id for trial in trials))
    trials = [trial for trial in trials if not phase or trial.slices["phase"] == phase]
    recordings = find_recordings(folders, (".flac",))
    rows = [replace(trial, audio=Audio(recordings[trial.id])) for trial in trials if trial.id in recordings]
    return Scan(rows, len(trials), [trial.id for trial in trials if trial.id not in recordings])


def _first(root: Path, names: tuple[str, ...], what: str) -> Path:
    """The first of `names` that is a file in `root`.

    Raises DataError where none is: recordings without their labels.
    """
    for name in names:
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root}: {what} is missing: there is no {' and no '.join(names)}; unpack it there")


def _scan_2019(root: Path, split: str) -> Scan[SpoofingTrial]:
    name = f"ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{PROTOCOLS_2019[split]}.txt"
    protocol = _first(root, (name,), "the protocol")
    form = "speaker recording - attack key"
    return _scan(protocol, [root / f"ASVspoof2019_LA_{split}" / "flac"], parse_2019, form)


def _scan_2021(track: str, parse: Parse, form: str) -> Callable[[Path, str], Scan[SpoofingTrial]]:
    def scan(root: Path, split: str) -> Scan[SpoofingTrial]:
        names = tuple(f"{folder}keys/{track}/CM/trial_metadata.txt" for folder in ("", f"{track}-keys-full/"))
        key = _first(root, names, f"the key of the {track} track")
        eval_folder = f"ASVspoof2021_{track}_eval"
        folders = [root / eval_folder / "flac", *sorted(root.glob(f"{eval_folder}_part0*/{eval_folder}/flac"))]
        return _scan(key, folders, parse, form, phase=split)

    return scan


def _scan_5(root: Path, split: str) -> Scan[SpoofingTrial]:
    name = f"ASVspoof5.{PROTOCOLS_5[split]}.tsv"
    protocol = _first(root, (f"ASVspoof5_protocols/{name}", name), "the protocol")
    form = "speaker recording gender codec quality coded adaptation attack key -"
    return _scan(protocol, [root / folder for folder in FOLDERS_5[split]], parse_5, form)


@corpus("asvspoof2019-la", licence=ODC_BY, kind="spoofing trials")
def asvspoof2019_la(
    *, path: str | None = None, split: str = "eval", partial: bool = False
) -> CorpusFolder[SpoofingTrial]:
    """ASVspoof 2019 logical access: the countermeasure protocols of train, dev and eval."""
    return CorpusFolder(LAYOUT_2019, _scan_2019, split, path, partial, language="en")


@corpus("asvspoof2021-la", licence=ODC_BY, kind="spoofing trials")
def asvspoof2021_la(
    *, path: str | None = None, split: str = "eval", partial: bool = False
) -> CorpusFolder[SpoofingTrial]:
    """ASVspoof 2021 logical access: spoofed speech over telephone codecs; phase eval, progress or hidden."""
    form = "speaker recording codec transmission attack key trim phase"
    scan = _scan_2021("LA", parse_2021_la, form)
    return CorpusFolder(LAYOUT_2021_LA, scan, split, path, partial, language="en")


@corpus("asvspoof2021-df", licence=ODC_BY, kind="spoofing trials")
def asvspoof2021_df(
    *, path: str | None = None, split: str = "eval", partial: bool = False
) -> CorpusFolder[SpoofingTrial]:
    """ASVspoof 2021 deepfake: spoofed speech after lossy compression; phase eval, progress or hidden."""
    form = "speaker recording compression source attack key trim phase vocoder task team genders language"
    scan = _scan_2021("DF", parse_2021_df, form)
    return CorpusFolder(LAYOUT_2021_DF, scan, split, path, partial)


@corpus("asvspoof5", licence=ODC_BY, kind="spoofing trials")
def asvspoof5(*, path: str | None = None, split: str = "eval", partial: bool = False) -> CorpusFolder[SpoofingTrial]:
    """ASVspoof 5 track 1: crowdsourced speech, deepfakes and adversarial attacks, with and without codecs."""
    address = "https://zenodo.org/records/14498691/files"
    archives = [Archive(f"{address}/ASVspoof5_protocols.tar.gz", "865d0e894ea9f686f0f37e5ae3ae3616")]
    archives += [
        Archive(f"{address}/flac_{split[:1].upper()}_{part}.tar", md5)
        for part, md5 in ARCHIVES_5.get(split, {}).items()
    ]
    return CorpusFolder(LAYOUT_5, _scan_5, split, path, partial, language="en", sources=tuple(archives))
