"""In-the-Wild: bona fide and spoofed speech of public figures, collected from the web; ``meta.csv`` and WAV files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import check_unique, find_recordings, read_table, refuse
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF, Label, SpoofingTrial

__all__ = ["in_the_wild"]

LICENCE = "Apache-2.0"
LABELS: Mapping[str, Label] = {"bona-fide": BONA_FIDE, "spoof": SPOOF}

LAYOUT = Layout(
    name="in-the-wild",
    title="In-the-Wild",
    licence=LICENCE,
    citation="N. M. Müller, P. Czempin, F. Dieckmann, A. Froghyar and K. Böttinger, Does audio deepfake detection "
    "generalize?, Proc. Interspeech 2022",
    homepage="https://deepfake-total.com/in_the_wild",
    signs=("meta.csv",),
    splits=("all",),
    counts={"all": 31_779},
    nested=("release_in_the_wild",),
    unit="trials",
    how="unpack release_in_the_wild.zip of https://deepfake-total.com/in_the_wild",
)


@corpus("in-the-wild", licence=LICENCE, kind="spoofing trials")
def in_the_wild(*, path: str | None = None, partial: bool = False) -> CorpusFolder[SpoofingTrial]:
    """In-the-Wild: speech of 58 public figures from the web, bona fide and spoofed by methods that are not known."""
    return CorpusFolder(LAYOUT, _scan, path=path, partial=partial, language="en")


def _scan(root: Path, _: str) -> Scan[SpoofingTrial]:
    meta = root / "meta.csv"
    table = read_table(meta, ("file", "speaker", "label"))
    wrong = [(number, row) for number, row in enumerate(table, start=2) if row["label"] not in LABELS]
    refuse(meta, [(n, ",".join(row.values())) for n, row in wrong], len(table), "file,speaker,bona-fide or spoof")
    check_unique(meta, (row["file"] for row in table))
    recordings = find_recordings([root], (".wav",))
    names = [Path(row["file"]).stem for row in table]
    rows = [
        SpoofingTrial(
            id=name,
            audio=Audio(recordings[name]),
            label=LABELS[row["label"]],
            speaker=row["speaker"],
            slices={"speaker": row["speaker"]},
        )
        for name, row in zip(names, table, strict=True)
        if name in recordings
    ]
    unlisted = sorted(recordings.keys() - set(names))
    missing = [name for name in names if name not in recordings]
    return Scan(rows, len(table) + len(unlisted), missing, unlisted)
