"""ESC-50: 2,000 environmental sounds of 5 s in 50 classes and 5 folds; ``meta/esc50.csv`` and a folder ``audio``.

The published protocol trains on four folds and tests on the fifth, five times: ``fold1`` is what is tested where fold 1
is left out of training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Archive
from audiometry.tasks.corpora.layout import CorpusFolder, Layout, Scan
from audiometry.tasks.corpora.listings import check_unique, find_recordings, read_table, refuse
from audiometry.tasks.corpora.rows import SoundClip

__all__ = ["GROUPS", "Esc50Folder", "esc50"]

LICENCE = "CC-BY-NC-3.0"
FOLDS = ("1", "2", "3", "4", "5")
COLUMNS = ("filename", "fold", "target", "category", "esc10")

GROUPS = (
    "animals",
    "natural soundscapes and water",
    "human, not speech",
    "interior and domestic",
    "exterior and urban",
)
"""The makers' five groups of ten classes: class numbers 0 to 9, 10 to 19, …"""

LAYOUT = Layout(
    name="esc50",
    title="ESC-50",
    licence=LICENCE,
    citation="K. J. Piczak, ESC: dataset for environmental sound classification, Proc. ACM Multimedia 2015",
    homepage="https://github.com/karolpiczak/ESC-50",
    signs=("meta/esc50.csv",),
    splits=("all", *(f"fold{fold}" for fold in FOLDS)),
    counts={"all": 2_000, **{f"fold{fold}": 400 for fold in FOLDS}},
    nested=("ESC-50-master", "ESC-50"),
    unit="clips",
    how="unpack https://github.com/karolpiczak/ESC-50/archive/master.zip",
)


@dataclass(frozen=True)
class Esc50Folder(CorpusFolder[SoundClip]):
    """A split, and the names of all classes."""

    def classes(self) -> list[str]:
        """Every class' name, by its number.

        Raises what `rows` raises.
        """
        self.rows()
        root = self.layout.root(self.folder) or self.folder
        table = read_table(root / "meta" / "esc50.csv", COLUMNS)
        return list(dict.fromkeys(row["category"] for row in sorted(table, key=lambda row: int(row["target"]))))


@corpus("esc50", licence=LICENCE, kind="sound events")
def esc50(*, path: str | None = None, split: str = "all", partial: bool = False) -> Esc50Folder:
    """ESC-50: environmental sounds of 5 s in 50 classes, one a clip, in five folds."""
    master = Archive("https://github.com/karolpiczak/ESC-50/archive/master.zip")
    return Esc50Folder(LAYOUT, _scan, split, path, partial, sources=(master,))


def _scan(root: Path, split: str) -> Scan[SoundClip]:
    meta = root / "meta" / "esc50.csv"
    table = read_table(meta, COLUMNS)
    wrong = [
        (number, ",".join(row.values()))
        for number, row in enumerate(table, start=2)
        if row["fold"] not in FOLDS or not row["target"].isdecimal() or int(row["target"]) >= 50 or not row["category"]
    ]
    refuse(meta, wrong, len(table), "filename,fold 1 to 5,target 0 to 49,category,…")
    check_unique(meta, (row["filename"] for row in table))
    recordings = find_recordings([root / "audio"], (".wav",))
    unlisted = sorted(recordings.keys() - {Path(row["filename"]).stem for row in table}) if split == "all" else []
    rows, missing = [], []
    wanted = [row for row in table if split in {"all", f"fold{row['fold']}"}]
    for row in wanted:
        name = Path(row["filename"]).stem
        slices = {"fold": row["fold"], "group": GROUPS[int(row["target"]) // 10], "esc10": row["esc10"].lower()}
        if name in recordings:
            rows.append(SoundClip(name, Audio(recordings[name]), (row["category"],), slices))
        else:
            missing.append(name)
    return Scan(rows, len(wanted) + len(unlisted), missing, unlisted)
