"""What a gate checks in two runs: rules meet tasks, metrics and slices, and every loss is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from audiometry.benchmark.columns import FAILURES, Columns, select
from audiometry.benchmark.compare import Side, paired_columns, side_columns
from audiometry.benchmark.errors import UserError
from audiometry.benchmark.gate_config import GateConfig, Rule, matches
from audiometry.benchmark.gate_statistics import Loss, measure_losses
from audiometry.benchmark.stats.groups import MINIMUM_SAMPLES
from audiometry.benchmark.types import IntArray, Metric, Task

__all__ = ["Planned", "plan_checks"]

ALL = "all"


@dataclass(frozen=True, slots=True)
class Planned:
    """A check before it is judged. `failed` counts failed samples of the baseline and the candidate.

    `answered` is the loss without the samples that failed on either side, where some did. `missing` says why it cannot
    be judged, and is empty where it can; `few` tells that the slice is too small.
    """

    task: str
    metric: Metric | None
    slice: str
    rule: Rule
    n: int = 0
    failed: tuple[int, int] = (0, 0)
    loss: Loss | None = None
    answered: Loss | None = None
    missing: str = ""
    few: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class _Chosen:
    """Metrics of each slice with the rule that decides; every rule that spoke; slices that were passed over."""

    checks: dict[str, list[tuple[Metric, Rule]]] = field(default_factory=dict)
    spoke: set[Rule] = field(default_factory=set)
    small: dict[str, int] = field(default_factory=dict)
    tested: dict[tuple[bytes, str], list[Rule]] = field(default_factory=dict)


def plan_checks(baseline: Side, candidate: Side, config: GateConfig) -> tuple[list[Planned], set[Rule], list[str]]:
    """Every check with its loss measured, the rules that fitted something, and notes on what is not checked.

    A task that cannot be compared gives the checks that the baseline had for it, which say why.
    """
    planned: list[Planned] = []
    spoke: set[Rule] = set()
    notes: list[str] = []
    for name in baseline.tasks:
        rules = [rule for rule in config.rules if matches(name, rule.task)]
        if all(rule.skip for rule in rules):
            continue
        try:
            task, columns = _compared(baseline, candidate, name)
        except UserError as error:
            chosen, missed = _missed(baseline, name, rules, str(error))
            planned += missed
        else:
            chosen = _choose(task, columns[0].selections(), rules)
            planned += _measured(task, columns, chosen, config)
        spoke |= chosen.spoke
        notes += [
            f"task {name!r}, slice {one!r} is not checked: {n} samples, under {MINIMUM_SAMPLES}"
            for one, n in chosen.small.items()
        ]
    if new := [name for name in candidate.tasks if name not in baseline.tasks]:
        notes.append(f"not checked, as the baseline lacks them: {', '.join(new)}")
    return planned, spoke, notes


def _compared(baseline: Side, candidate: Side, name: str) -> tuple[Task, tuple[Columns, Columns]]:
    if name not in candidate.tasks:
        raise UserError(f"the candidate's run {candidate.run} lacks task {name!r}")
    task, columns = paired_columns(baseline, candidate, name)
    if len(columns[0]) == 0:
        raise UserError(f"task {name!r} has no scores of {baseline.model} and {candidate.model}")
    return task, columns


def _missed(baseline: Side, name: str, rules: Sequence[Rule], reason: str) -> tuple[_Chosen, list[Planned]]:
    """The checks of a task that cannot be compared, by the baseline's slices and metrics; one a rule if it has none."""
    chosen = _Chosen(spoke=set(rules))
    selections: Mapping[str, IntArray] = {}
    with suppress(UserError):
        task, columns = side_columns(baseline, name)
        if len(columns):
            selections = columns.selections()
            chosen = _choose(task, selections, rules)
    if not chosen.checks:
        return chosen, [Planned(name, None, rule.slice, rule, missing=reason) for rule in rules if not rule.skip]
    return chosen, [
        Planned(name, _directed(metric, rule), one, rule, len(selections[one]), missing=reason)
        for one, checks in chosen.checks.items()
        for metric, rule in checks
    ]


def _choose(task: Task, selections: Mapping[str, IntArray], rules: Sequence[Rule]) -> _Chosen:
    """The last rule that speaks of a slice and metric decides.

    A pattern passes over slices of under `MINIMUM_SAMPLES` samples, and over those that hold the same samples as
    another one of which no less is asked: one loss is tested once.
    """
    chosen = _Chosen()
    for name, rows in selections.items():
        for metric in task.metrics:
            fitting = [
                rule for rule in rules if matches(name, rule.slice) and rule.matches_metric(metric, task.metrics[0])
            ]
            chosen.spoke |= set(fitting)
            if not fitting or fitting[-1].skip:
                continue
            rule = fitting[-1]
            before = chosen.tested.setdefault((rows.tobytes(), metric.name), [])
            if rule.slice != name:
                if name != ALL and len(rows) < MINIMUM_SAMPLES:
                    chosen.small[name] = len(rows)
                    continue
                if any(one.asks_as_much(rule) for one in before):
                    continue
            before.append(rule)
            chosen.checks.setdefault(name, []).append((metric, rule))
    return chosen


def _measured(task: Task, columns: tuple[Columns, Columns], chosen: _Chosen, config: GateConfig) -> Iterator[Planned]:
    selections = columns[0].selections()
    tables = columns[0].table(), columns[1].table()
    missing = _failures(task.name, columns, selections[ALL], config.max_failures)
    lost = np.union1d(columns[0].failed(), columns[1].failed())

    def losses(rows: IntArray, metrics: Sequence[Metric]) -> dict[str, Loss]:
        first, second = (select(table, rows) for table in tables)
        return measure_losses(first, second, task.reduce, metrics, seed=config.seed, resamples=config.resamples)

    for name, checks in chosen.checks.items():
        rows = selections[name]
        left = np.setdiff1d(rows, lost)
        metrics = [_directed(metric, rule) for metric, rule in checks]
        found = losses(rows, metrics)
        answered = losses(left, metrics) if len(left) < len(rows) else {}
        common = Planned(
            task.name, None, name, checks[0][1], len(rows), (_failed(columns[0], rows), _failed(columns[1], rows)),
            missing=missing, few=name != ALL and len(rows) < MINIMUM_SAMPLES, notes=_twins(name, selections),
        )  # fmt: skip
        for metric, (_, rule) in zip(metrics, checks, strict=True):
            one = metric.name
            yield replace(common, metric=metric, rule=rule, loss=found[one], answered=answered.get(one))


def _directed(metric: Metric, rule: Rule) -> Metric:
    return metric if rule.direction is None else replace(metric, direction=rule.direction)


def _twins(name: str, selections: Mapping[str, IntArray]) -> tuple[str, ...]:
    mine = selections[name].tobytes()
    twins = [other for other, rows in selections.items() if other != name and rows.tobytes() == mine]
    return (f"same samples as {', '.join(twins)}",) if twins else ()


def _failed(columns: Columns, rows: IntArray) -> int:
    counts = columns.status_counts(rows)
    return sum(counts.get(status, 0) for status in FAILURES)


def _failures(task: str, columns: tuple[Columns, Columns], rows: IntArray, limit: float) -> str:
    """Why a task with too many failed samples is not judged, or nothing."""
    for what, side in (("candidate", columns[1]), ("baseline", columns[0])):
        failed = _failed(side, rows)
        if failed > limit * len(rows):
            share = f"{failed} of the {what}'s {len(rows)} samples failed ({failed / len(rows):.1%})"
            return f"task {task!r}: {share}, more than max_failures {limit:.1%} allows"
    return ""
