"""Progress on stderr: a line for each model and task, with samples done, failures, speed and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from audiometry.benchmark.plan import Plan
from audiometry.benchmark.worker import Row

__all__ = ["Progress"]

PLAIN_SECONDS = 15.0


@dataclass
class _Line:
    label: str
    total: int
    bar: Any = None
    done: int = 0
    failed: int = 0
    audio_seconds: float = 0.0
    model_seconds: float = 0.0

    @property
    def speed(self) -> str:
        """RTFx: seconds of sound a second of the model's time."""
        return f"{self.audio_seconds / self.model_seconds:.1f} x real time" if self.model_seconds > 0 else ""


class Progress:
    """Bars on a terminal; elsewhere a plain line every quarter of a minute and one at each end. Quiet if told."""

    def __init__(self, plan: Plan, *, quiet: bool = False) -> None:
        self._plan = plan
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._display: Any = None
        self._told = time.monotonic()
        self._began = time.monotonic()
        self._lines: Mapping[tuple[int, int], _Line] = {
            (m, t): _Line(f"{plan.models[m].label} · {plan.tasks[t].task.name}", len(plan.tasks[t].samples))
            for m, t in plan.pairs
        }

    def __enter__(self) -> Progress:
        if self._live:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._display = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[more]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=False),
                console=Console(stderr=True),
            )
            self._display.start()
            for line in self._lines.values():
                line.bar = self._display.add_task(line.label, total=line.total, more="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._display is not None:
            self._display.stop()

    def rows(self, model: int, rows: list[Row]) -> None:
        """Count rows that came back."""
        for row in rows:
            line = self._lines[(model, row.task)]
            line.done += 1
            line.failed += row.status in ("error", "timeout")
            request = self._plan.tasks[row.task].samples[row.position].request
            line.audio_seconds += sum(audio.seconds or 0.0 for audio in request.audios.values())
            line.model_seconds += row.output.get("total_seconds") or 0.0
            if self._display is not None:
                failures = f"{line.failed} failed  " if line.failed else ""
                self._display.update(line.bar, completed=line.done, more=failures + line.speed)
        if not self._quiet and not self._live:
            self._plain()

    def _plain(self) -> None:
        now = time.monotonic()
        finished = [line for line in self._lines.values() if line.done == line.total and line.bar is None]
        for line in finished:
            line.bar = True  # told once
            failures = f", {line.failed} failed" if line.failed else ""
            print(f"{line.label}: {line.done} of {line.total}{failures}, {line.speed}".rstrip(", "), file=sys.stderr)
        if now - self._told < PLAIN_SECONDS:
            return
        self._told = now
        done = sum(line.done for line in self._lines.values())
        total = sum(line.total for line in self._lines.values())
        left = (now - self._began) / max(done, 1) * (total - done)
        print(f"{done} of {total} samples, about {left:.0f} s left", file=sys.stderr)
