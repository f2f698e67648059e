"""`voxpopuli`: speeches in the European Parliament, in 16 languages and in English with 15 accents.

Two layouts are read: that of https://github.com/facebookresearch/voxpopuli (``transcribed_data/LANGUAGE/asr_SPLIT.tsv``
with ``YEAR/ID.ogg`` beside it) and that of https://huggingface.co/datasets/facebook/voxpopuli (``data/LANGUAGE/
asr_SPLIT.tsv`` with ``SPLIT/SPLIT_part_N/ID.wav``, once the archives are unpacked beside themselves).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Hub
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import read_table, recordings, tidy_gender
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LAYOUT", "voxpopuli"]

PLACES = ("transcribed_data", "data", ".")
REVISION = "4ca6fb6d6bb37af66991d05974e6abcadd4b181e"
"""Of the hub's repository; later ones hold Parquet files, which the corpus `datasets` reads."""

UNKNOWN = ("", "none", "nan", "n/a")

LAYOUT = Layout(
    name="voxpopuli",
    title="VoxPopuli",
    licence="CC0-1.0",
    citation="Wang et al.: VoxPopuli, a large-scale multilingual speech corpus for representation learning, "
    "semi-supervised learning and interpretation, ACL 2021",
    homepage="https://github.com/facebookresearch/voxpopuli",
    signs=tuple(f"{place}/{{language}}/asr_{{split}}.tsv".removeprefix("./") for place in PLACES),
    splits=("test", "dev", "train"),
    counts={"en/test": 1842, "en/dev": 1753, "en/train": 182482},
    how=f"fetch data/LANGUAGE from https://huggingface.co/datasets/facebook/voxpopuli/tree/{REVISION} and unpack its "
    "archives beside themselves",
)


@corpus("voxpopuli", language="16", licence=LAYOUT.licence)
def voxpopuli(
    *, path: str | None = None, language: str = "en", split: str = "test", partial: bool = False
) -> SpeechFolder:
    """VoxPopuli: speeches in the European Parliament in 16 languages, 16 kHz; language=en_accented has accents."""

    def scan(root: Path, split: str) -> Scan[Utterance]:
        return _scan(root, split, language)

    files = (f"data/{language}/asr_{split}.tsv", f"data/{language}/{split}/*.tar.gz")
    iso = language.partition("_")[0]
    sources = (Hub("facebook/voxpopuli", files, REVISION),)
    return SpeechFolder(LAYOUT, scan, split, path, partial, language=iso, folder_language=language, sources=sources)


def _scan(root: Path, split: str, language: str) -> Scan[Utterance]:
    table = next(file for place in PLACES if (file := root / place / language / f"asr_{split}.tsv").is_file())
    files = recordings(table.parent, (".wav", ".ogg"))
    rows: list[Utterance] = []
    missing: list[str] = []
    unlabelled: list[str] = []
    for row in read_table(table, ("id", "normalized_text", "speaker_id")):
        if row["id"] not in files:
            missing.append(row["id"])
        elif not row["normalized_text"].strip():
            unlabelled.append(row["id"])
        else:
            rows.append(_utterance(row, files[row["id"]], language))
    return Scan(rows, len(rows) + len(missing) + len(unlabelled), missing, unlabelled)


def _utterance(row: Mapping[str, str], file: Path, language: str) -> Utterance:
    code = language.partition("_")[0]
    gender = tidy_gender(row.get("gender", ""))
    accent = row.get("accent", "").strip()
    known = {"language": code, "gender": gender, "accent": "" if accent.lower() in UNKNOWN else accent}
    speaker = row["speaker_id"].strip()
    return Utterance(
        id=f"voxpopuli/{language}/{row['id']}",
        audio=Audio(str(file)),
        text=row["normalized_text"].strip(),
        language=code,
        speaker="" if speaker.lower() in UNKNOWN else f"voxpopuli-{speaker}",
        gender=gender,
        slices={key: value for key, value in known.items() if value},
    )
