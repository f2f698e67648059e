"""How the processes of a run treat their memory: workers keep what they free, the driver looks for cycles seldom."""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collected_seldom", "keep_freed_memory"]

SELDOM = (50_000, 20, 50)
"""Thresholds of Python's cycle collector. A run makes millions of small records without cycles: looking at them as
often as Python does by default takes a tenth of the driver's time. Not for workers: cycles of a model's may hold
gigabytes."""

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
"""Names of settings in glibc's malloc.h."""


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Have Python look for cycles as seldom as `SELDOM` says, until the block ends."""
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to its peak, for the next batch.

    By default glibc hands large blocks back at once and has each of their pages faulted in again: with Whisper, a fifth
    of all processor time. Elsewhere than under glibc this does nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)
