"""Progress on stderr: a line for each model and task, with samples done, failures, speed and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from audiometry.benchmark.columns import FAILURES
from audiometry.benchmark.plan import Item, Plan, heard_seconds
from audiometry.benchmark.rows import Row

__all__ = ["Progress"]

PLAIN_SECONDS = 15.0


@dataclass
class _Line:
    label: str
    total: int
    work: float
    """Seconds of sound, or samples where there is none: long samples come first, so their number tells no time."""
    bar: Any = None
    done: int = 0
    worked: float = 0.0
    failed: int = 0
    cached: int = 0
    asked: float = 0.0
    """The part of `worked` that a model was asked: not the cache's, nor a control's."""
    audio_seconds: float = 0.0
    model_seconds: float = 0.0

    @property
    def count(self) -> str:
        """Samples done of all."""
        return f"{self.done}/{self.total}"

    @property
    def more(self) -> str:
        """Failures, what came from the cache, and RTFx: seconds of sound a second of the model's time."""
        parts = [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.cached} cached"] if self.cached else []
        if self.model_seconds > 0 and self.audio_seconds > 0:
            parts.append(f"{self.audio_seconds / self.model_seconds:.1f} x real time")
        return ", ".join(parts)


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
            (m, t): _Line(f"{plan.models[m].label} · {plan.tasks[t].task.name}", plan.tasks[t].size, _work(plan, t))
            for m, t in plan.pairs
        }

    def __enter__(self) -> Progress:
        if self._live:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._display = Bars(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TextColumn("{task.fields[more]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=False),
                console=Console(stderr=True),
            )
            self._display.start()
            for line in self._lines.values():
                line.bar = self._display.add_task(line.label, total=line.work, count=line.count, more="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._display is not None:
            self._display.stop()

    def answered(self, model: int, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Count samples that were answered."""
        hears = self._asks(model)
        touched = set()
        for item, row in pairs:
            line = self._lines[model, row.task]
            touched.add((model, row.task))
            line.done += 1
            work = heard_seconds(item.sample) if self._plan.tasks[row.task].seconds else 1.0
            line.worked += work
            line.failed += row.status in FAILURES
            line.cached += row.cached
            if not row.cached and hears:
                line.asked += work
                line.audio_seconds += heard_seconds(item.sample)
                line.model_seconds += row.output.get("total_seconds") or 0.0
        if self._display is not None:
            for key in touched:
                line = self._lines[key]
                self._display.update(line.bar, completed=line.worked, count=line.count, more=line.more)
        elif not self._quiet:
            self._plain()

    def _plain(self) -> None:
        now = time.monotonic()
        finished = [line for line in self._lines.values() if line.done == line.total and line.bar is None]
        for line in finished:
            line.bar = True  # told once
            print(f"{line.label}: {line.done} of {line.total}, {line.more}".rstrip(", "), file=sys.stderr)
        if now - self._told < PLAIN_SECONDS:
            return
        self._told = now
        done = sum(line.done for line in self._lines.values())
        total = sum(line.total for line in self._lines.values())
        print(f"{done} of {total} samples, about {self._left(now):.0f} s left", file=sys.stderr)

    def _left(self, now: float) -> float:
        """Seconds left, if each model goes on as fast as it was: on the task, or before that has begun, on others."""
        spent = sum(line.model_seconds for line in self._lines.values())
        if spent == 0:
            worked = sum(line.worked for line in self._lines.values())
            work = sum(line.work for line in self._lines.values())
            return (now - self._began) / max(worked, 1e-9) * max(work - worked, 0.0)
        costs = 0.0
        for (model, _), line in self._lines.items():
            if not self._asks(model):
                continue
            of_model = [one for (other, _), one in self._lines.items() if other == model]
            everything = list(self._lines.values())
            known = next(some for some in ([line], of_model, everything) if any(one.asked for one in some))
            cost = sum(one.model_seconds for one in known) / sum(one.asked for one in known)
            costs += cost * max(line.work - line.worked, 0.0)
        return (now - self._began) * costs / spent

    def _asks(self, model: int) -> bool:
        """Whether a model takes time: controls and answers that were given do not."""
        entry = self._plan.models[model].entry
        return not entry.control and entry.given is None


def _work(plan: Plan, task: int) -> float:
    return plan.tasks[task].seconds or float(plan.tasks[task].size)
