"""How the processes of a run treat their memory: workers keep what they free, the driver looks for cycles seldom.

And how much a process has held at most.
"""

from __future__ import annotations

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["collected_seldom", "keep_freed_memory", "peak_bytes"]

PROC = Path("/proc")

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


def peak_bytes(process: int | None = None) -> int | None:
    """The most memory that a process (default: this one) and each process under it have held, added up, in bytes.

    Each process' own peak (``VmHWM`` of Linux' /proc, where a page shared between processes counts in each); the
    peaks need not have come together, so the sum is an upper bound where there are several. None where the system does
    not tell.

    >>> (peak_bytes() or 1) > 0
    True
    """
    import psutil

    try:
        parent = psutil.Process(process)
        peaks = [_peak(one.pid) for one in [parent, *parent.children(recursive=True)]]
    except psutil.Error:
        return None
    return sum(peak for peak in peaks if peak) or None


def _peak(process: int) -> int | None:
    try:
        lines = (PROC / str(process) / "status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:  # it has ended, or this is not Linux
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
