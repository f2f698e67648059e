"""What a run has gathered so far: scores as columns, times, failures; fed by fresh answers and by the journal alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from audiometry.benchmark.answers import Done
from audiometry.benchmark.columns import FAILURES, Columns, Subject, reduce_columns
from audiometry.benchmark.energy import CpuTime, EnergyMeter
from audiometry.benchmark.evidence import Names
from audiometry.benchmark.journal import Journal, Line, read_journal, repair
from audiometry.benchmark.metrics_export import RunMetrics
from audiometry.benchmark.plan import Item, Plan
from audiometry.benchmark.progress import Progress
from audiometry.benchmark.rows import Row
from audiometry.benchmark.types import Result

__all__ = ["Tally"]


MOST_FACTS = 20
"""Different things that are counted under one name of `Output.facts`."""

RECALLED = 4096
"""Lines of a journal that are counted together."""


@dataclass
class _Sums:
    seconds: float = 0.0
    audio_seconds: float = 0.0
    cached: int = 0
    failed: int = 0
    first_error: str = ""
    usage: dict[str, float] = field(default_factory=dict)
    oldest: float | None = None
    facts: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        output = line.output
        seconds = output.get("total_seconds")
        if seconds:
            self.seconds += seconds
            self.audio_seconds += line.audio.get("seconds") or 0.0
        self.cached += line.cached
        if line.made is not None:
            self.oldest = min(line.made, self.oldest or line.made)
        for name, said in (output.get("facts") or {}).items():
            counts = self.facts.setdefault(name, {})
            if said in counts or len(counts) < MOST_FACTS:
                counts[said] = counts.get(said, 0) + 1
        if not line.cached:
            for name, value in (output.get("usage") or {}).items():
                self.usage[name] = self.usage.get(name, 0.0) + value
        if line.verdict in FAILURES:
            self.failed += 1
            self.first_error = self.first_error or str(output.get("error"))


@dataclass
class Tally:
    """Takes answers, journals them, and reduces them to results."""

    plan: Plan
    done: Done
    journal: Journal
    progress: Progress
    meter: EnergyMeter | None = None
    metrics: RunMetrics | None = None
    columns: dict[tuple[int, int], Columns] = field(default_factory=dict)
    sums: dict[tuple[int, int], _Sums] = field(default_factory=dict)
    names: Names = field(default_factory=Names)

    def answered(self, model: int, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Take fresh answers. A sample that was answered before is not counted twice."""
        fresh = [(item, row) for item, row in pairs if self.done.mark(model, row.task, row.position)]
        lines = [Line.of(model, item.sample, row) for item, row in fresh]
        self.journal.append(lines)
        self._count(lines)
        self.progress.answered(model, fresh)
        if self.metrics is not None:
            self.metrics.answered(model, fresh)

    def tick(self, *, closing: bool = False) -> None:
        """Let the journal make durable what it holds, and the meter look."""
        self.journal.tick()
        if self.meter is not None:
            self.meter.look(now=closing)

    def used(self, cpu: CpuTime) -> None:
        """Take a worker's account of its processor time."""
        if self.meter is not None:
            self.meter.report(cpu)

    def recall(self) -> int:
        """Take the answers of the journal of a run that was stopped; returns how many."""
        repair(self.journal.path)
        count = 0
        lines = read_journal(self.journal.path)
        while stretch := list(islice(lines, RECALLED)):
            fresh = [line for line in stretch if self.done.mark(line.model, line.task, line.position)]
            self._count(fresh)
            count += len(fresh)
        return count

    @property
    def count(self) -> int:
        """How many samples were answered."""
        return sum(map(len, self.columns.values()))

    def results(self, fingerprint: str, judges: Mapping[str, str]) -> list[Result]:
        """Results of every (model, task) that has answers. `judges` are the fingerprints of the models that judged."""
        results = []
        for m, t in self.plan.pairs:
            columns = self.columns.get((m, t))
            if columns is None:
                continue
            model = self.plan.models[m]
            subject = Subject(fingerprint, model.label, model.entry.control, judges)
            results += reduce_columns(
                subject, self.plan.tasks[t].task, columns, seed=self.plan.settings.seed,
                resamples=self.plan.settings.resamples, expected=self.plan.tasks[t].size,
            )  # fmt: skip
        return results

    def problems(self) -> list[str]:
        """What makes this run no result: more failures than allowed."""
        problems = []
        limit = self.plan.settings.max_failures
        for (m, t), sums in sorted(self.sums.items()):
            count = len(self.columns[m, t])
            if sums.failed and sums.failed > limit * count:
                problems.append(
                    f"{self.plan.models[m].label} on {self.plan.tasks[t].task.name}: {sums.failed} of {count} samples "
                    f"failed, more than --max-failures {limit:g} allows; the first: {sums.first_error}"
                )
        return problems

    def timings(self) -> list[Mapping[str, Any]]:
        """Seconds that each model spent, seconds of sound it heard, and their ratio (RTFx).

        Controls and outputs of other systems hear nothing and have no speed. An answer from the cache counts with the
        time that it took when it was made, and uses up nothing; the oldest one's moment is told. `facts` counts what
        those who answered said of themselves.
        """
        timings: list[Mapping[str, Any]] = []
        for (m, t), sums in sorted(self.sums.items()):
            entry = self.plan.models[m].entry
            hears = sums.seconds > 0 and sums.audio_seconds > 0 and not entry.control and entry.given is None
            rtfx = round(sums.audio_seconds / sums.seconds, 3) if hears else None
            timings.append(
                {
                    "model": self.plan.models[m].label, "task": self.plan.tasks[t].task.name,
                    "seconds": round(sums.seconds, 3), "audio_seconds": round(sums.audio_seconds, 3), "rtfx": rtfx,
                    "cached": sums.cached, "usage": sums.usage, "oldest_answer": _moment(sums.oldest),
                    "facts": sums.facts,
                }
            )  # fmt: skip
        return timings

    def _count(self, lines: Sequence[Line]) -> None:
        by_pair: dict[tuple[int, int], list[Line]] = {}
        for line in lines:
            by_pair.setdefault((line.model, line.task), []).append(line)
        for pair, mine in by_pair.items():
            if pair not in self.columns:
                self.columns[pair], self.sums[pair] = Columns(), _Sums()
            self.columns[pair].extend(mine)
            for line in mine:
                self.sums[pair].add(line)
        self.names.add(lines)


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
