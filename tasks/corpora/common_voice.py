"""`common-voice`: sentences read by volunteers in many languages, as https://commonvoice.mozilla.org publishes them.

``LANGUAGE/SPLIT.tsv`` lists recordings in ``LANGUAGE/clips`` (MP3) with ``client_id``, ``path``, ``sentence`` and what
the speaker told: age, gender, accents. ``clip_durations.tsv`` (newer releases) tells the lengths in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.registry import corpus
from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora.layout import Layout, Scan, SpeechFolder
from audiometry.tasks.corpora.transcripts import is_present, read_table, tidy_gender
from audiometry.tasks.corpora.utterance import Utterance

__all__ = ["LAYOUT", "common_voice"]

LAYOUT = Layout(
    name="common-voice",
    title="Common Voice",
    licence="CC0-1.0",
    citation="Ardila et al.: Common Voice, a massively-multilingual speech corpus, LREC 2020",
    homepage="https://commonvoice.mozilla.org/datasets",
    signs=("{language}/{split}.tsv", "{split}.tsv"),
    also=("*/clips", "clips"),
    splits=("test", "dev", "train", "validated", "other", "invalidated"),
    nested=("cv-corpus-*",),
    how="fetch the language's archive from https://commonvoice.mozilla.org/datasets (with an account), unpack it",
)


@corpus("common-voice", language="over 100", licence=LAYOUT.licence)
def common_voice(
    *, path: str | None = None, language: str = "en", split: str = "test", partial: bool = False
) -> SpeechFolder:
    """Common Voice: sentences read by volunteers, with age, gender, accent and locale."""

    def scan(root: Path, split: str) -> Scan[Utterance]:
        return _scan(root, split, language)

    iso = language.partition("-")[0]
    return SpeechFolder(LAYOUT, scan, split, path, partial, language=iso, folder_language=language)


def _scan(root: Path, split: str, language: str) -> Scan[Utterance]:
    folder = root / language if (root / language / f"{split}.tsv").is_file() else root
    lengths = _lengths(folder / "clip_durations.tsv")
    rows: list[Utterance] = []
    missing: list[str] = []
    unlabelled: list[str] = []
    table = folder / f"{split}.tsv"
    for row in read_table(table, ("client_id", "path", "sentence")):
        if row.get("locale", language) != language:
            raise DataError(f"{table}: holds the language {row['locale']!r} where {language!r} is asked for")
        file = folder / "clips" / _name(row["path"])
        if not is_present(file):
            missing.append(file.name)
        elif not row["sentence"].strip():
            unlabelled.append(file.name)
        else:
            rows.append(_utterance(row, file, language, lengths.get(file.name)))
    return Scan(rows, len(rows) + len(missing) + len(unlabelled), missing, unlabelled)


def _utterance(row: Mapping[str, str], file: Path, language: str, seconds: float | None) -> Utterance:
    gender = tidy_gender(row.get("gender", ""))
    known = {
        "language": language.partition("-")[0],
        "gender": gender,
        "age": row.get("age", ""),
        "accent": row.get("accents", "") or row.get("accent", ""),
        "locale": row.get("locale", "") or language,
        "variant": row.get("variant", ""),
    }
    return Utterance(
        id=f"common-voice/{language}/{file.stem}",
        audio=Audio(str(file), seconds=seconds),
        text=row["sentence"].strip(),
        language=known["language"],
        speaker=f"common-voice-{row['client_id']}",
        gender=gender,
        slices={key: value.strip() for key, value in known.items() if value.strip()},
    )


def _name(path: str) -> str:
    """The recording's file name: early releases write it without its ending."""
    return path if path.endswith(".mp3") else f"{path}.mp3"


def _lengths(file: Path) -> dict[str, float]:
    """Seconds by file name; nothing where the release has no such table."""
    if not file.is_file():
        return {}
    rows = read_table(file, ("clip", "duration[ms]"))
    return {row["clip"]: float(row["duration[ms]"]) / 1000 for row in rows if row["duration[ms]"].isdigit()}
