"""Packages that come with an extra: imported when first needed, and named with their extra where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from audiometry.benchmark.errors import UserError
from audiometry.tasks.metrics.compiled_code import keep_entries_apart

__all__ = ["require"]

COMPILED = ("librosa", "numba")
"""Packages that Numba compiles parts of."""


def require(package: str, extra: str) -> Any:
    """The module `package`, which ``pip install 'audiometry[EXTRA]'`` brings.

    Raises UserError, naming the extra, where it is not installed. An installed package that fails to import keeps
    its own error.

    >>> require("json", "quality").dumps([1])
    '[1]'
    """
    try:
        if package in COMPILED:
            keep_entries_apart()
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise UserError(
            f"the package {error.name!r} is not installed; install it with: pip install 'audiometry[{extra}]'"
        ) from error
