"""What a cheaper model costs in answers: several models on one task, each in a process of its own, side by side.

All processes live at once and every batch is asked of each model in turn, so that what else the machine does falls on
all alike. Nothing is served from the cache. Accuracy is compared sample by sample with the first model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from audiometry.benchmark.columns import Columns
from audiometry.benchmark.errors import SettingError, UnfinishedRunError
from audiometry.benchmark.memory import peak_bytes
from audiometry.benchmark.plan import Item, PlannedTask, RunSettings, heard_seconds, plan_tasks
from audiometry.benchmark.registry import MODELS, Entry, Spec
from audiometry.benchmark.stats import compare_tables, intervals
from audiometry.benchmark.types import Task
from audiometry.benchmark.validate_child import Opening
from audiometry.benchmark.validate_subject import Subject

__all__ = ["Line", "side_by_side"]

BATCH = 8
WARM_UP = 1
"""Samples that each model answers before the clock runs: they are asked again, and counted, with the others."""


@dataclass(frozen=True, slots=True)
class Line:
    """One model on the task.

    `value`, `low` and `high` are the headline metric with its 95 % interval; `difference`, `difference_low`,
    `difference_high` and `p` that value less the first model's, paired by sample (None for the first one). `rtfx` is
    seconds of sound for each second of wall clock, `cpu_per_hour` processor seconds for each hour of sound, both
    of the answers alone and None where the task has no sound. Memory in bytes: `idle_memory` with the model loaded,
    `peak_memory` the most until the end, with the processes under it (None where the system does not tell). `facts`
    is what the model told of itself.
    """

    model: str
    task: str
    metric: str
    n: int
    failed: int
    value: float | None
    low: float | None
    high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    p: float | None
    rtfx: float | None
    cpu_per_hour: float | None
    idle_memory: int
    peak_memory: int | None
    facts: Mapping[str, str]


@dataclass
class _Asked:
    """A model's process and what has come of it so far."""

    label: str
    subject: Subject
    process: Any
    idle: int
    columns: Columns = field(default_factory=Columns)
    seconds: float = 0.0
    cpu: float = 0.0
    facts: dict[str, str] = field(default_factory=dict)


def side_by_side(
    models: Sequence[Spec],
    task: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    resamples: int = 2000,
    sample_timeout: float = 600.0,
    plugins: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> list[Line]:
    """Ask every model the task's samples (the first `limit` of a fixed order), and compare each with the first.

    Raises SettingError for a model that cannot be measured here or lacks the task's ability, a model named twice, or a
    task that needs a judge or a dialogue; what `plan_tasks` raises; UnfinishedRunError for a model that does not load,
    dies, or fails on every sample.
    """
    settings = RunSettings(tuple(map(str, models)), (task,), limit=limit, seed=seed, plugins=tuple(plugins))
    settings.check()
    if len(set(models)) < len(models):
        raise SettingError("efficiency: a model is named twice; name each once")
    planned = plan_tasks(settings)
    if len(planned) != 1 or planned[0].task.judges or planned[0].task.next_turn is not None:
        raise SettingError(f"efficiency: {task!r} is a suite, or needs judges or a dialogue; name a plain task")
    (one,) = planned
    openings = [_opening(model, one.task, plugins, sample_timeout) for model in models]
    items = [Item(position, sample) for position, sample in one.samples()]
    with ExitStack() as open_processes:
        asked = [_started(opening, open_processes) for opening in openings]
        for each in asked:
            each.subject.answer(items[:WARM_UP])
        for number, start in enumerate(range(0, len(items), BATCH)):
            turn = number % len(asked)
            for each in (*asked[turn:], *asked[:turn]):
                _ask(each, one.task, items[start : start + BATCH])
            report(f"{min(start + BATCH, len(items))} of {len(items)} samples")
        peaks = [peak_bytes(each.process.pid) for each in asked]
    return _lines(asked, peaks, one, seed, resamples)


def _opening(model: Spec, task: Task, plugins: Sequence[str], sample_timeout: float) -> Opening:
    entry: Entry[Any] = MODELS.check(model)
    if task.ability not in MODELS.abilities(model):
        raise SettingError(f"efficiency: model {str(model)!r} cannot {task.ability}, which {task.name!r} asks")
    if entry.waits or entry.given is not None:
        raise SettingError(f"efficiency: model {str(model)!r} does not compute in a process of ours; name another")
    return Opening(
        model, None, plugins=tuple(plugins), threads=max(1, round(entry.resources.cpus)), decodes=entry.waveforms,
        waits=False, sample_timeout=sample_timeout,
    )  # fmt: skip


def _started(opening: Opening, open_processes: ExitStack) -> _Asked:
    import psutil

    others = {child.pid for child in psutil.Process().children()}
    subject = open_processes.enter_context(Subject(str(opening.model), opening))
    subject.load()
    (process,) = (child for child in psutil.Process().children() if child.pid not in others)
    idle = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    return _Asked(str(opening.model), subject, process, idle)


def _ask(asked: _Asked, task: Task, items: Sequence[Item]) -> None:
    """Ask one batch and count it. The processor's seconds hold the decoding of the sound, the wall clock's do not."""
    before = _cpu_seconds(asked.process)
    answered = asked.subject.answer(items)
    asked.cpu += _cpu_seconds(asked.process) - before
    asked.seconds += answered.seconds
    for item in items:
        output = answered.outputs[item.position]
        score = task.score(item.sample, output)
        asked.columns.append(item.position, item.sample, score.status, score.counts)
        asked.facts |= output.facts


def _cpu_seconds(process: Any) -> float:
    used = process.cpu_times()
    return float(used.user + used.system + used.children_user + used.children_system)


def _lines(
    asked: Sequence[_Asked], peaks: Sequence[int | None], planned: PlannedTask, seed: int, resamples: int
) -> list[Line]:
    task, metric = planned.task, planned.task.metrics[0]
    sound = sum(heard_seconds(sample) for _, sample in planned.samples())
    first = asked[0].columns.table()
    lines = []
    for place, each in enumerate(asked):
        table = each.columns.table()
        failed = sum(
            each.columns.status_counts(each.columns.selections()["all"]).get(s, 0) for s in ("error", "timeout")
        )
        if failed == len(table):
            raise UnfinishedRunError(f"efficiency: model {each.label!r} failed on every sample of {task.name!r}")
        found = intervals(table, task.reduce, task.metrics, seed=seed, resamples=resamples)[metric.name]
        other = compare_tables(first, table, task.reduce, metric, seed=seed, resamples=resamples) if place else None
        lines.append(
            Line(
                model=each.label, task=task.name, metric=metric.name, n=len(table), failed=failed,
                value=found.value, low=found.low, high=found.high,
                difference=other.difference if other else None,
                difference_low=other.low if other else None,
                difference_high=other.high if other else None,
                p=other.p if other else None,
                rtfx=sound / each.seconds if sound else None,
                cpu_per_hour=each.cpu / sound * 3600 if sound else None,
                idle_memory=each.idle, peak_memory=peaks[place], facts=each.facts,
            )
        )  # fmt: skip
    return lines
