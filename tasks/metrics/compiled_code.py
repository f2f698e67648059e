"""Numba keeps what it compiled in files that processes share; here each entry's file has a name of its own.

Numba 0.68 numbers the files of a function's variants in the order in which they come. Two processes that compile at
once give one number to two variants: the index then says that a file holds one of them, and it holds the other. Who
calls that runs machine code for other types, at best to a segmentation fault, now and in every process afterwards.
"""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any

__all__ = ["keep_entries_apart"]


@cache
def keep_entries_apart() -> None:
    """Have Numba name the files of its cache so that no two processes ever give one name to two things.

    For this process; call it before anything that Numba compiles is called, in librosa too. An entry that another
    process wrote over in the index is compiled again, and nothing else is lost.

    Raises ModuleNotFoundError where Numba is not installed.

    >>> keep_entries_apart()
    """
    from numba.core import caching

    files: Any = caching.IndexDataCacheFile
    begin = files.__init__

    def begin_apart(self: Any, cache_path: str, filename_base: str, source_stamp: object) -> None:
        begin(self, cache_path, filename_base, source_stamp)
        self._data_name_pattern = f"{filename_base}.{uuid.uuid4().hex[:12]}-{{number:d}}.nbc"

    files.__init__ = begin_apart
