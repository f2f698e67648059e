"""What a run leaves on disk: ``run.json``, ``outputs.parquet``, ``scores.parquet``, ``results.json``.

`results.json` holds no time and no name of the machine: the same run twice gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.plan import Plan
from audiometry.benchmark.types import Result
from audiometry.benchmark.worker import Row

__all__ = ["RunFolder", "read_results", "results_document"]

OUTPUTS = "outputs.parquet"
SCORES = "scores.parquet"
RESULTS = "results.json"
RUN = "run.json"
JOURNAL = "journal.jsonl"


class RunFolder:
    """A folder that is written once. Files appear whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make the folder, empty.

        Raises StoreError if it cannot be made or holds a run already.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            probe = path / ".probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(
                f"cannot write the run folder {path}: {error.strerror}; choose another with --output-path"
            ) from error
        if (path / RUN).exists():
            raise StoreError(f"{path} holds a run already; choose another folder with --output-path")
        return cls(path)

    @property
    def journal(self) -> Path:
        """Where the journal is while the run goes on."""
        return self.path / JOURNAL

    @property
    def artefacts(self) -> Path:
        """Where sound and embeddings that models made are kept, by content."""
        return self.path / "artefacts"

    def write_json(self, name: str, document: Any) -> None:
        """Write a JSON document."""
        self._write(name, (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())

    def write_results(self, fingerprint: str, results: Sequence[Result]) -> None:
        """Write `results.json`."""
        self.write_json(RESULTS, {"run": fingerprint, **results_document(results)})

    def write_evidence(self, plan: Plan, rows: Sequence[tuple[int, Row]]) -> None:
        """Write what each sample was answered and how it was scored, in the plan's order."""
        ordered = sorted(rows, key=lambda pair: (pair[0], pair[1].task, pair[1].position))
        self._write_parquet(OUTPUTS, [_output_line(plan, model, row) for model, row in ordered])
        self._write_parquet(SCORES, [_score_line(plan, model, row) for model, row in ordered])

    def _write_parquet(self, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, list[Any]] = {key: [] for line in lines for key in line}
        for line in lines:
            for key, values in columns.items():
                values.append(line.get(key))
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink, compression="zstd")
        self._write(name, sink.getvalue().to_pybytes())

    def _write(self, name: str, content: bytes) -> None:
        temporary = self.path / f".{name}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            raise StoreError(f"cannot write {self.path / name}: {error.strerror}; free some space") from error


def results_document(results: Sequence[Result]) -> dict[str, Any]:
    """``{"results": [Result, …]}``: what ``--json`` prints and `results.json` holds."""
    return {"results": [asdict(result) for result in results]}


def read_results(path: Path) -> list[Result]:
    """The results of a `results.json`, or of the run folder that holds one.

    Raises StoreError if there is none or it is not ours.
    """
    file = path / RESULTS if path.is_dir() else path
    try:
        lines = json.loads(file.read_text(encoding="utf-8"))["results"]
        return [Result(**{**line, "judges": tuple(line["judges"]), "notes": tuple(line["notes"])}) for line in lines]
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}; give the folder of a finished run") from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{file} is not a results file of this version: {error}; score the run again") from error


def _names(plan: Plan, model: int, row: Row) -> dict[str, Any]:
    return {"model": plan.models[model].label, "task": plan.tasks[row.task].task.name, "sample_id": row.sample_id}


def _output_line(plan: Plan, model: int, row: Row) -> dict[str, Any]:
    audios = plan.tasks[row.task].samples[row.position].request.audios
    audio = audios.get("input") or next(iter(audios.values()), None)
    line = _names(plan, model, row) | {"status": row.status, "text": None, "score": None, "error": None}
    line |= {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.output.items()}
    return line | {
        "audio": audio.path if audio else None,
        "audio_start": audio.start if audio else None,
        "audio_end": audio.end if audio else None,
        "audio_seconds": audio.seconds if audio else None,
    }


def _score_line(plan: Plan, model: int, row: Row) -> dict[str, Any]:
    sample = plan.tasks[row.task].samples[row.position]
    status = row.status if row.status != "ok" else row.score_status
    line = _names(plan, model, row) | {"status": status, "cluster": sample.cluster, "stratum": sample.stratum}
    line |= {f"count.{name}": value for name, value in sorted(row.counts.items())}
    line |= {f"slice.{name}": value for name, value in sorted(sample.slices.items())}
    return line | {f"detail.{name}": value for name, value in sorted(row.details.items())}
