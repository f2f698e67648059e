"""Finding the batch size at which a model is quickest, within the memory there is: ``--batch-size auto``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["LARGEST", "BatchSizer", "resident_bytes", "spare_bytes"]

LARGEST = 256
"""Larger batches gain little and lose much when a worker dies."""

GAIN = 1.05
"""Doubling must be quicker by this factor, or the smaller size is kept: large batches make answers wait."""

TRIALS = 2
"""Full batches that are timed at a size. The first batch of all warms the model up and is not timed."""

SHARE = 0.5
"""Share of the spare memory that the next size may be expected to take."""


@dataclass
class BatchSizer:
    """Doubles the batch size while that makes the model quicker, and stops before memory runs out.

    `largest` bounds it (after a worker has died of a size, half of that). `resident` and `spare` tell the bytes that
    this process holds, and those that the machine could still give it.

    >>> sizer = BatchSizer(resident=lambda: 0, spare=lambda: 2**40)
    >>> while not sizer.settled:
    ...     sizer.record(sizer.size, work=sizer.size, seconds=1.0 + 0.1 * sizer.size)
    >>> sizer.size
    64
    """

    resident: Callable[[], int]
    spare: Callable[[], int]
    largest: int = LARGEST
    size: int = 1
    settled: bool = False
    _warm: bool = False
    _times: list[float] = field(default_factory=list)
    _best: tuple[float, int] = (0.0, 1)
    _before: int = 0
    _grown: int = 0

    def record(self, size: int, *, work: float, seconds: float) -> None:
        """A batch of `size` samples took `seconds`; `work` is its seconds of sound, or its samples."""
        if not self._warm:
            self._warm, self._before = True, self.resident()
            return
        if self.settled or size != self.size:
            return
        self._times.append(work / max(seconds, 1e-9))
        now = self.resident()
        self._grown = max(self._grown, now - self._before)
        if len(self._times) >= TRIALS:
            self._decide()

    def failed(self, size: int) -> None:
        """A batch of `size` was too large: half of it is the most from now on."""
        self.largest = max(1, min(self.largest, size // 2))
        self.size = min(self._best[1], self.largest)
        self.settled = True

    def _decide(self) -> None:
        speed = max(self._times)
        self._times = []
        slower = speed < GAIN * self._best[0]
        if speed > self._best[0]:
            self._best = (speed, self.size if not slower else self._best[1])
        doubled = 2 * self.size
        # what this size took on top of the size before is taken to double with the size
        cramped = 2 * self._grown > SHARE * self.spare()
        if slower or cramped or doubled > self.largest:
            self.size, self.settled = self._best[1], True
        else:
            self.size = doubled


def resident_bytes() -> int:
    """Memory that this process holds."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def spare_bytes() -> int:
    """Memory that the machine, or the control group that this process runs in, could still give."""
    import psutil

    spare = int(psutil.virtual_memory().available)
    return spare if (left := _group_spare()) is None else min(spare, left)


def _group_spare() -> int | None:
    from pathlib import Path

    try:
        limit = (Path("/sys/fs/cgroup") / "memory.max").read_text().strip()
        used = (Path("/sys/fs/cgroup") / "memory.current").read_text().strip()
    except OSError:
        return None
    return None if limit == "max" else max(0, int(limit) - int(used))
