"""A run's folder: ``run.json``, ``outputs.parquet``, ``scores.parquet``, ``results.json``; the journal until then.

`results.json` holds no time and no name of the machine: the same run twice gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.types import Result

__all__ = ["RESULTS", "RUN", "RunFolder", "read_results", "results_document"]

RESULTS = "results.json"
RUN = "run.json"
JOURNAL = "journal.jsonl"


class RunFolder:
    """The folder of one run. Files appear whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make the folder, with an empty journal: from here on, a run that is killed can be gone on with.

        Raises StoreError if it cannot be made or holds a run already.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            taken = (path / RUN).exists()
            if not taken:
                (path / JOURNAL).write_bytes(b"")
        except OSError as error:
            raise StoreError(
                f"cannot write the run folder {path}: {error.strerror}; choose another with --output-path"
            ) from error
        if taken:
            raise StoreError(f"{path} holds a run already; go on with --resume, or choose another --output-path")
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of a run that has begun.

        Raises StoreError if there is none.
        """
        if not (path / RUN).is_file():
            raise StoreError(f"{path} holds no run; give the folder of one")
        return cls(path)

    @property
    def journal(self) -> Path:
        """Where the journal is until the run is complete."""
        return self.path / JOURNAL

    def document(self) -> dict[str, Any]:
        """What `run.json` says.

        Raises StoreError if it is damaged.
        """
        try:
            document: dict[str, Any] = json.loads((self.path / RUN).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read {self.path / RUN}: {error}; run again") from error
        return document

    def write_json(self, name: str, document: Any) -> None:
        """Write a JSON document, whole or not at all.

        Raises StoreError if that fails.
        """
        content = (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
        temporary = self.path / f".{name}.tmp"
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / name)
        except OSError as error:
            raise StoreError(f"cannot write {self.path / name}: {error.strerror}; free some space") from error

    def write_results(self, fingerprint: str, results: Sequence[Result]) -> None:
        """Write `results.json`."""
        self.write_json(RESULTS, {"run": fingerprint, **results_document(results)})


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
