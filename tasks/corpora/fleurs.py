"""`fleurs`: the same sentences read in 102 languages, in the layout of https://huggingface.co/datasets/google/fleurs.

``data/LANGUAGE/SPLIT.tsv`` has no header: sentence number, file, raw transcript, normalised transcript, characters,
length in samples (16 kHz), gender. The recordings lie in ``data/LANGUAGE/audio/SPLIT``.
"""

from __future__ import annotations

from pathlib import Path

from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.fetch import Hub
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import is_present, read_table, tidy_gender
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LAYOUT", "fleurs", "iso_code"]

RATE = 16_000
REVISION = "70bb2e84b976b7e960aa89f1c648e09c59f894dd"
"""Of the hub's repository, so that everybody measures on the same files."""

COLUMNS = ("id", "file", "raw", "text", "characters", "samples", "gender")

LAYOUT = Layout(
    name="fleurs",
    title="FLEURS",
    licence="CC-BY-4.0",
    citation="Conneau et al.: FLEURS, few-shot learning evaluation of universal representations of speech, SLT 2022",
    homepage="https://huggingface.co/datasets/google/fleurs",
    signs=("data/{language}/{split}.tsv", "{language}/{split}.tsv"),
    also=("data/*/audio", "*/audio"),
    splits=("test", "dev", "train"),
    counts={"en_us/test": 647, "en_us/dev": 394, "en_us/train": 2602},
    how="fetch data/LANGUAGE/SPLIT.tsv and data/LANGUAGE/audio/SPLIT.tar.gz from "
    "https://huggingface.co/datasets/google/fleurs, unpack the archive beside itself",
)


@corpus("fleurs", language="102", licence=LAYOUT.licence)
def fleurs(
    *, path: str | None = None, language: str = "en_us", split: str = "test", partial: bool = False
) -> SpeechFolder:
    """FLEURS: the same sentences read in 102 languages, 16 kHz."""

    def scan(root: Path, split: str) -> Scan[Utterance]:
        return _scan(root, split, language)

    files = (f"data/{language}/{split}.tsv", f"data/{language}/audio/{split}.tar.gz")
    sources = (Hub("google/fleurs", files, REVISION),)
    return SpeechFolder(
        LAYOUT, scan, split, path, partial, language=iso_code(language), folder_language=language, sources=sources
    )


def iso_code(language: str) -> str:
    """ISO 639-1 code of a FLEURS language, ISO 639-3 where there is none.

    >>> [iso_code(name) for name in ("en_us", "cmn_hans_cn", "ast_es")]
    ['en', 'zh', 'ast']
    """
    code = language.partition("_")[0]
    return "zh" if code == "cmn" else code


def _scan(root: Path, split: str, language: str) -> Scan[Utterance]:
    folder = root / "data" / language
    folder = folder if folder.is_dir() else root / language
    rows: list[Utterance] = []
    missing: list[str] = []
    unlabelled: list[str] = []
    code = iso_code(language)
    for row in read_table(folder / f"{split}.tsv", COLUMNS, columns=COLUMNS):
        file = folder / "audio" / split / row["file"]
        if not is_present(file):
            missing.append(row["file"])
            continue
        if not row["raw"].strip():
            unlabelled.append(row["file"])
            continue
        gender = tidy_gender(row["gender"])
        seconds = int(row["samples"]) / RATE if row["samples"].isdigit() and row["samples"] != "0" else None
        slices = {"language": code, "locale": language} | ({"gender": gender} if gender else {})
        audio = Audio(str(file), seconds=seconds)
        name = f"fleurs/{language}/{split}/{row['id']}-{file.stem}"
        rows.append(Utterance(name, audio, row["raw"].strip(), code, "", gender, slices))
    return Scan(rows, len(rows) + len(missing) + len(unlabelled), missing, unlabelled)
