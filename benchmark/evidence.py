"""The evidence of a run as Parquet: what each sample was answered, and how it was scored.

Written in stretches, so that a million samples need no more memory than one stretch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.journal import Line

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["OUTPUTS", "SCORES", "Names", "read_outputs", "write_evidence"]

OUTPUTS = "outputs.parquet"
SCORES = "scores.parquet"
STRETCH = 20_000

KEPT = (
    "text",
    "score",
    "error",
    "total_seconds",
    "timings",
    "labels",
    "segments",
    "usage",
    "facts",
    "judged",
    "peak_bytes",
    "audio_out",
    "embedding",
)
"""What is kept of an output, by `rows.output_columns`."""

NUMBERS = ("score", "total_seconds", "peak_bytes", "audio_start", "audio_end", "audio_seconds")
TEXTS = ("model", "task", "sample_id", "status", *(name for name in KEPT if name not in NUMBERS), "audio")
STRUCTURED = ("timings", "labels", "segments", "usage", "facts", "judged")
"""What of it is kept as JSON."""


class Names:
    """Names of counts, slices and details that the lines of a run hold: the columns of its scores."""

    def __init__(self) -> None:
        self.counts: set[str] = set()
        self.slices: set[str] = set()
        self.details: set[str] = set()

    def add(self, lines: Sequence[Line]) -> None:
        """Take the names of some lines."""
        self.counts |= {name for line in lines for name in line.counts}
        self.slices |= {name for line in lines for name in line.slices}
        self.details |= {name for line in lines for name in line.details}


def write_evidence(
    folder: Path, lines: Iterable[Line], names: Names, models: Sequence[str], tasks: Sequence[str]
) -> None:
    """Write `outputs.parquet` and `scores.parquet` into `folder`, a row for each line, in their order.

    `models` and `tasks` are the labels that the lines' positions stand for.

    Raises StoreError if that fails; a file appears whole or not at all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = {OUTPUTS: _outputs_schema(), SCORES: _scores_schema(names)}
    temporary = {name: folder / f".{name}.tmp" for name in schemas}
    try:
        writers = {name: pq.ParquetWriter(temporary[name], schemas[name], compression="zstd") for name in schemas}
        try:
            for stretch in _stretches(lines):
                keys = {
                    "model": [models[line.model] for line in stretch],
                    "task": [tasks[line.task] for line in stretch],
                }
                columns = {OUTPUTS: keys | _outputs(stretch), SCORES: keys | _scores(stretch, names)}
                for name, writer in writers.items():
                    writer.write_table(pa.table(columns[name], schema=schemas[name]))
        finally:
            for writer in writers.values():
                writer.close()
        for name, path in temporary.items():
            with path.open("rb") as file:
                os.fsync(file.fileno())  # the journal, which is removed next, was on the disk
            path.replace(folder / name)
    except OSError as error:
        raise StoreError(f"cannot write the evidence in {folder}: {error}; free some space and run again") from error


def read_outputs(folder: Path) -> Iterator[dict[str, Any]]:
    """Rows of `outputs.parquet`, with the kept values of each output under `output`, as a worker gave them.

    Raises StoreError if there is none.
    """
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(folder / OUTPUTS)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the outputs in {folder}: {error}; give the folder of a finished run") from error
    with file:
        for batch in file.iter_batches(STRETCH):
            for row in batch.to_pylist():
                kept = {name: row.get(name) for name in KEPT}  # an older run has fewer columns
                for name in STRUCTURED:
                    kept[name] = json.loads(kept[name]) if kept[name] else None
                yield row | {"output": kept}


def _stretches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    left = iter(lines)
    first = True
    while (stretch := list(islice(left, STRETCH))) or first:
        first = False
        yield stretch


def _outputs_schema() -> pa.Schema:
    import pyarrow as pa

    fields = [(name, pa.string()) for name in TEXTS] + [(name, pa.float64()) for name in NUMBERS]
    return pa.schema([*fields, ("cached", pa.bool_())])


def _scores_schema(names: Names) -> pa.Schema:
    import pyarrow as pa

    plain = ("model", "task", "sample_id", "status", "cluster", "stratum")
    fields = [(name, pa.string()) for name in plain]
    fields += [(f"count.{name}", pa.float64()) for name in sorted(names.counts)]
    fields += [(f"slice.{name}", pa.string()) for name in sorted(names.slices)]
    return pa.schema(fields + [(f"detail.{name}", pa.string()) for name in sorted(names.details)])


def _outputs(lines: Sequence[Line]) -> dict[str, Sequence[Any]]:
    """Columns of the outputs: a list a column is several times quicker than a dictionary a row."""
    fields = _transposed(lines)
    columns: dict[str, Sequence[Any]] = {
        "sample_id": fields.sample_id, "status": fields.status, "cached": fields.cached,
    }  # fmt: skip
    columns |= _named(KEPT, fields.output, "")
    for name in STRUCTURED:
        columns[name] = [None if value is None else json.dumps(value) for value in columns[name]]
    sound = _named(("path", "start", "end", "seconds"), fields.audio, "audio_")
    return columns | {"audio": sound.pop("audio_path"), **sound}


def _scores(lines: Sequence[Line], names: Names) -> dict[str, Sequence[Any]]:
    fields = _transposed(lines)
    columns: dict[str, Sequence[Any]] = {
        "sample_id": fields.sample_id,
        "status": [line.verdict for line in lines],
        "cluster": fields.cluster,
        "stratum": fields.stratum,
    }
    columns |= _named(names.counts, fields.counts, "count.") | _named(names.slices, fields.slices, "slice.")
    return columns | _named(names.details, fields.details, "detail.")


def _transposed(lines: Sequence[Line]) -> Any:
    """A Line of each field's values."""
    return Line(*(zip(*lines, strict=True) if lines else ((),) * len(Line._fields)))


def _named(names: Iterable[str], mappings: Sequence[Mapping[str, Any]], prefix: str) -> dict[str, Sequence[Any]]:
    """The value of each name in each mapping, or None."""
    there = {name for mapping in mappings for name in mapping}
    nothing = [None] * len(mappings)
    return {
        f"{prefix}{name}": [mapping.get(name) for mapping in mappings] if name in there else nothing for name in names
    }
