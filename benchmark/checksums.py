"""SHA-256 of a run's files: what the store knows of them when the run is put in, and what it finds there later."""

from __future__ import annotations

import hashlib
from typing import IO, Any

from audiometry.benchmark.evidence import OUTPUTS, SCORES
from audiometry.benchmark.runfolder import RESULTS, RUN

__all__ = ["RUN_FILES", "checksums", "sha256_of"]

RUN_FILES = (RUN, RESULTS, OUTPUTS, SCORES)
"""The files of a finished run folder."""

BLOCK = 1 << 20


def sha256_of(file: IO[bytes]) -> str:
    """SHA-256 of a file from where it stands to its end, in hexadecimal.

    >>> import io
    >>> sha256_of(io.BytesIO(b"abc"))[:16]
    'ba7816bf8f01cfea'
    """
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()


def checksums(folder: str) -> dict[str, str]:
    """SHA-256 by name of the `RUN_FILES` that can be read in `folder` (any fsspec path); the others are left out.

    >>> checksums("/nowhere")
    {}
    """
    import fsspec

    found: dict[str, str] = {}
    for name in RUN_FILES:
        try:
            opened: Any = fsspec.open(f"{folder}/{name}", "rb")
            with opened as file:
                found[name] = sha256_of(file)
        except (OSError, ValueError, ImportError):  # not there, or on a file system that is not reached from here
            continue
    return found
