"""Writes what a file of `torch.save` holds as safetensors, without running what such a file may carry.

A script for this Python, whose torch reads with ``weights_only`` safely, on behalf of one whose torch does not
(CVE-2025-32434 and CVE-2026-24747 were mended in 2.6 and 2.10). It needs torch and safetensors, and nothing of ours:
``python -I checkpoint_tensors.py SOURCE TARGET``. `audiocraft_server.read_checkpoint` reads what it writes.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["STRUCTURE", "main", "write_tensors"]

STRUCTURE = "structure"
"""The entry of the metadata that says, in JSON, where each tensor and plain value stands."""


def main(words: Sequence[str]) -> int:
    """Exit code 0, or 2 after one line that says why."""
    source, target = words
    try:
        write_tensors(source, target)
    except Exception as error:  # a file from outside may be wrong in any way; all of it is told
        sys.stderr.write(f"{source} is no checkpoint of tensors and plain values: {_reason(error)}\n")
        return 2
    return 0


def _reason(error: Exception) -> str:
    """What is wrong, on one line. Torch's own words go on to advise reading the file with its code."""
    wanted = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
    if wanted:
        return f"it wants {wanted[1]}, which could run code"
    if isinstance(error, TypeError | OSError):
        return " ".join(str(error).split())
    return f"it is damaged or of another kind ({type(error).__name__})"


def write_tensors(source: str, target: str) -> None:
    """Read `source` with ``weights_only=True`` and write its tensors to `target`, a safetensors file.

    What holds them is told in the metadata: dictionaries as ``{"dict": [[key, value], ...]}``, lists and tuples as
    ``{"list": [...]}``, a tensor as ``{"tensor": name}``, plain values as they are.

    Raises TypeError for anything else, and whatever torch raises for a file that is none or would run code.
    """
    torch: Any = importlib.import_module("torch")
    tensors: dict[str, Any] = {}

    def told(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            name = str(len(tensors))
            tensors[name] = value.detach().contiguous().clone()  # views of one storage become tensors of their own
            return {"tensor": name}
        if isinstance(value, dict):
            return {"dict": [[plain(key), told(one)] for key, one in value.items()]}
        if isinstance(value, list | tuple):
            return {"list": [told(one) for one in value]}
        return plain(value)

    structure = told(torch.load(source, map_location="cpu", weights_only=True))
    safetensors: Any = importlib.import_module("safetensors.torch")
    safetensors.save_file(tensors, target, metadata={STRUCTURE: json.dumps(structure)})


def plain(value: object) -> object:
    """The value itself. Raises TypeError unless it is a number, a text, a truth value or None."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"it holds a {type(value).__module__}.{type(value).__qualname__}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
