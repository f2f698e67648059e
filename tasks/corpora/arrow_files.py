"""Rows of Hugging Face ``datasets`` on disk: Arrow streams of ``save_to_disk``, and Parquet files as on the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import DataError
from audiometry.tasks.corpora.transcripts import is_present

__all__ = ["column_names", "read_rows", "split_files"]

BATCH = 256
SHARD = re.compile(r"-(\d{5})-of-(\d{5})(-[0-9a-f]+)?$")


def split_files(folder: Path, split: str) -> list[Path]:
    """The files that hold a split, in order.

    Raises DataError for a folder of another kind, a split that is not there, and files that are missing or empty.
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}; give the folder of a dataset with path=DIR")
    if (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits", [])
        if split not in splits:
            raise DataError(f"{folder}: has no split {split!r}; it has: {', '.join(splits) or 'none'}")
        return _arrow_files(folder / split)
    if (folder / "state.json").is_file():
        found = _json(folder / "state.json").get("_split") or split
        if found != split:
            raise DataError(f"{folder}: holds the split {found!r}, not {split!r}; set split={found}")
        return _arrow_files(folder)
    return _parquet_files(folder, split)


def read_rows(file: Path, columns: Mapping[str, str], audio: str, *, sound: bool) -> Iterator[dict[str, Any]]:
    """Rows of a file: under each role the value of its column (a class label by its name), and what is heard.

    ``path`` and ``bytes`` are those of the column `audio`; without `sound` the bytes are left out. ``embedded`` tells
    whether there are bytes, ``heard`` whether there are bytes or a path.

    Raises DataError for a file that is damaged or cut off.
    """
    import pyarrow as pa

    try:
        for batch in _batches(file):
            labels = _labels(batch.schema)
            values = {role: batch.column(name).to_pylist() for role, name in columns.items()}
            heard = _sounds(batch.column(audio), sound=sound)
            for index, told in enumerate(heard):
                plain = {role: _named(many[index], labels.get(columns[role], ())) for role, many in values.items()}
                yield plain | told
    except (pa.ArrowException, OSError) as error:
        raise _damaged(file, error) from error


def column_names(file: Path) -> list[str]:
    """The columns of a file.

    Raises DataError for a file that is damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        if file.suffix == ".parquet":
            return list(parquet.read_schema(file).names)
        with pa.memory_map(str(file)) as stream, pa.ipc.open_stream(stream) as batches:
            return list(batches.schema.names)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> DataError:
    return DataError(f"{file}: is damaged or cut off: {' '.join(str(error).split())}; save or fetch it again")


def _arrow_files(folder: Path) -> list[Path]:
    state = folder / "state.json"
    if not state.is_file():
        raise DataError(f"{folder}: has no state.json; it is not what save_to_disk leaves, or was copied in part")
    files = [folder / entry["filename"] for entry in _json(state).get("_data_files", [])]
    return _present(files, folder)


def _parquet_files(folder: Path, split: str) -> list[Path]:
    every = sorted(folder.rglob("*.parquet"))
    files = [file for file in every if _split_of(file, folder) == split]
    if not files:
        splits = sorted({_split_of(file, folder) for file in every})
        what = f"has no split {split!r}; it has: {', '.join(splits)}" if splits else "holds no Arrow or Parquet files"
        raise DataError(f"{folder}: {what}; give the folder of save_to_disk or of Parquet files")
    places = sorted({file.parent for file in files})
    if len(places) > 1:
        names = ", ".join(str(place.relative_to(folder)) for place in places)
        raise DataError(f"{folder}: split {split!r} is in {len(places)} folders: {names}; name one with path=DIR")
    numbered = [match for file in files if (match := SHARD.search(file.stem))]
    if numbered:
        there = {int(match[1]) for match in numbered}
        total = int(numbered[0][2])
        lost = [f"{split}-{number:05d}-of-{total:05d}" for number in range(total) if number not in there]
        if lost:
            raise DataError(
                f"{folder}: {len(lost)} of {total} files of split {split!r} are missing, first {lost[0]}; fetch them"
            )
    return _present(files, folder)


def _split_of(file: Path, folder: Path) -> str:
    """``data/test-00000-of-00001.parquet``, ``test.parquet`` and ``test/0000.parquet`` are all of the split test."""
    stem = SHARD.sub("", file.stem)
    return file.parent.name if stem.isdigit() and file.parent != folder else stem


def _present(files: Sequence[Path], folder: Path) -> list[Path]:
    lost = [file.name for file in files if not is_present(file)]
    if lost or not files:
        counts = f"{len(lost)} of {len(files)} files are missing or empty, first {lost[0]}" if lost else "lists no file"
        raise DataError(f"{folder}: {counts}; save or fetch it again")
    return list(files)


def _batches(file: Path) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    if file.suffix == ".parquet":
        with parquet.ParquetFile(file) as table:
            yield from table.iter_batches(BATCH)
        return
    with pa.memory_map(str(file)) as stream, pa.ipc.open_stream(stream) as batches:
        yield from batches


def _sounds(column: Any, *, sound: bool) -> Iterator[dict[str, Any]]:
    """Path and bytes of each row, from a column of structs or of paths."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_struct(column.type):
        paths = column.to_pylist()
        yield from ({"path": path, "bytes": None, "heard": bool(path), "embedded": False} for path in paths)
        return
    names = [field.name for field in column.type]
    fields = dict(zip(names, column.flatten(), strict=True))
    nothing = [None] * len(column)
    paths = fields["path"].to_pylist() if "path" in fields else nothing
    sizes = pc.binary_length(fields["bytes"]).to_pylist() if "bytes" in fields else nothing
    for index, (path, size) in enumerate(zip(paths, sizes, strict=True)):
        data = fields["bytes"][index].as_py() if sound and size else None
        yield {"path": path, "bytes": data, "heard": bool(size or path), "embedded": bool(size)}


def _labels(schema: Any) -> dict[str, Sequence[str]]:
    """Names of the classes of each column of class labels, as the schema's metadata tell."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = info["info"]["features"]
        return {name: told["names"] for name, told in features.items() if isinstance(told, dict) and "names" in told}
    except (ValueError, KeyError, TypeError):
        return {}


def _named(value: Any, names: Sequence[str]) -> Any:
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}; save it again") from error
    if not isinstance(read, dict):
        raise DataError(f"{path}: is not what save_to_disk writes; save it again")
    return read
