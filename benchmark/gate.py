"""Whether a candidate is worse than its baseline: every check tested on the same samples, Holm over all of them.

A check is a task, a metric and a slice. What each verdict means, and why, is in `docs/gate.md`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from audiometry.benchmark.compare import Side
from audiometry.benchmark.gate_config import DEFAULT, GateConfig
from audiometry.benchmark.gate_plan import Planned, plan_checks
from audiometry.benchmark.gate_statistics import Loss, detectable_loss, loss_bound, loss_p
from audiometry.benchmark.stats import holm
from audiometry.benchmark.stats.groups import MINIMUM_SAMPLES

__all__ = ["CONFIDENCE", "EXIT_CODES", "Check", "Gate", "GateVerdict", "gate", "judge"]

GateVerdict = Literal["regression", "incomplete", "undecided", "pass"]

EXIT_CODES: Mapping[GateVerdict, int] = {"pass": 0, "regression": 1, "undecided": 2, "incomplete": 2}

CONFIDENCE = 0.9
"""How surely a pass rules out the loss that it must: the consumer's risk of acceptance sampling is 10 % by custom."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check and what came of it. Losses are in the metric's unit, positive is worse; None is unknown.

    `bound` is the upper bound of the true loss at `CONFIDENCE`; `p_adjusted` is Holm's, over all checks of the gate.
    `detectable` is the true loss that would have been called a regression with 80 % probability, at the level of the
    first of all checks under Holm. `samples_needed` is about how many samples would do where these were too few.
    """

    task: str
    metric: str
    unit: str
    direction: str
    slice: str
    n: int
    failed: tuple[int, int]
    baseline: float | None
    candidate: float | None
    loss: float | None
    error: float | None
    bound: float | None
    p: float
    p_adjusted: float
    margin: float | None
    rule_out: float | None
    detectable: float | None
    verdict: GateVerdict
    reason: str
    samples_needed: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gate:
    """Every check, what is wrong beside them (`problems`), what is only worth knowing (`notes`), and the verdict."""

    baseline: tuple[str, str]
    candidate: tuple[str, str]
    alpha: float
    checks: tuple[Check, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> GateVerdict:
        """A regression anywhere decides; then what is incomplete, then what is undecided."""
        verdicts = {check.verdict for check in self.checks}
        if "regression" in verdicts:
            return "regression"
        if self.problems or "incomplete" in verdicts:
            return "incomplete"
        return "undecided" if "undecided" in verdicts or not self.checks else "pass"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 regression, 2 undecided or incomplete."""
        return EXIT_CODES[self.verdict]


def gate(baseline: Side, candidate: Side, config: GateConfig = DEFAULT) -> Gate:
    """Test every check of `config` on the samples that both sides have.

    What makes a task impossible to compare (another version, other samples, failed samples, no scores) makes its checks
    "incomplete", and is told; it raises nothing. A run beside itself shows nothing, and is incomplete, too.

    Raises SettingError for a task whose reduction does not fit its metrics, or too few resamples.
    """
    problems = [
        f"the {what}'s run {side.run} is not complete: {side.document['status']}"
        for what, side in (("baseline", baseline), ("candidate", candidate))
        if side.document["status"] != "complete"
    ]
    if (baseline.run, baseline.model) == (candidate.run, candidate.model):
        problems.append(f"baseline and candidate are the same: {baseline.model} in run {baseline.run}")
    planned, rules, notes = plan_checks(baseline, candidate, config)
    if config.given:
        problems += [
            f"nothing fits the check of {rule}" for rule in config.rules if not rule.skip and rule not in rules
        ]
    if not planned and not problems:
        problems.append("there is nothing to check")
    return Gate(
        (baseline.run, baseline.model), (candidate.run, candidate.model), config.alpha,
        tuple(judge(planned, config.alpha)), tuple(problems), tuple(notes),
    )  # fmt: skip


def judge(planned: Sequence[Planned], alpha: float) -> list[Check]:
    """Verdicts of all checks together: Holm over all of them, those that could not be measured among them.

    A regression must show again, by the same tests and Holm over all, without the samples that failed on either side.
    """
    amounts = [_amounts(one, one.loss) for one in planned]
    first = _tested([one.loss for one in planned], [margin for margin, _ in amounts])
    left = [one.answered or one.loss for one in planned]
    again = _tested(left, [_amounts(one, loss)[0] for one, loss in zip(planned, left, strict=True)])
    checks = [
        _check(one, margin, rule_out, p, alpha, len(planned))
        for one, (margin, rule_out), p in zip(planned, amounts, first, strict=True)
    ]
    return [
        _without_failures(check, p, alpha) if check.verdict == "regression" and one.answered is not None else check
        for one, check, (_, p) in zip(planned, checks, again, strict=True)
    ]


def _tested(losses: Sequence[Loss | None], margins: Sequence[float | None]) -> list[tuple[float, float]]:
    """Each check's p and Holm's; 1 where nothing was measured."""
    p = [
        1.0 if loss is None or margin is None else loss_p(loss, margin)
        for loss, margin in zip(losses, margins, strict=True)
    ]
    return list(zip(p, (float(value) for value in holm(p)), strict=True))


def _without_failures(check: Check, p: float, alpha: float) -> Check:
    """The regression, where it shows without the samples that failed; else it is the failed samples' alone."""
    if p <= alpha:
        return check
    reason = f"failed samples alone: without those that failed on either side, Holm's p is {p:.2g}"
    return replace(check, verdict="incomplete", reason=reason)


def _amounts(one: Planned, loss: Loss | None) -> tuple[float | None, float | None]:
    """The margin and the loss to rule out in the metric's unit; None where they are unknown, or the detectable one.

    Half of no errors is nothing: relative to a perfect baseline it is the detectable one, too.
    """
    if loss is None or one.metric is None or loss.baseline is None:
        return None, None
    margin = one.rule.margin.of(one.metric, loss.baseline)
    rule_out = None if one.rule.rule_out is None else one.rule.rule_out.of(one.metric, loss.baseline)
    return margin, rule_out or None


def _check(
    one: Planned, margin: float | None, rule_out: float | None, p: tuple[float, float], alpha: float, checks: int
) -> Check:
    loss, metric = one.loss, one.metric
    unit, direction = (metric.unit, metric.direction) if metric is not None else ("", "")
    name = metric.name if metric is not None else one.rule.metric or "headline"
    check = Check(
        one.task, name, unit, direction, one.slice, one.n, one.failed, None, None, None, None, None, p[0], p[1],
        margin, rule_out, None, "incomplete", one.missing, notes=one.notes,
    )  # fmt: skip
    if loss is None:
        return check
    check = replace(
        check, baseline=loss.baseline, candidate=loss.candidate, loss=loss.loss, error=loss.error,
        bound=loss_bound(loss, CONFIDENCE), notes=(*one.notes, *loss.notes),
    )  # fmt: skip
    if margin is None or loss.loss is None:
        return replace(check, reason="the metric is undefined on these samples")
    detectable = detectable_loss(loss, margin, alpha / checks)
    check = replace(check, detectable=detectable, rule_out=detectable if rule_out is None else rule_out)
    if one.missing:
        return check
    if one.few:
        return replace(check, verdict="undecided", reason=f"under {MINIMUM_SAMPLES} samples")
    return _decide(check, loss, alpha)


def _decide(check: Check, loss: Loss, alpha: float) -> Check:
    if check.p_adjusted <= alpha:
        return replace(check, verdict="regression", reason="the loss is surely larger than the margin")
    if loss.changed == 0 and check.bound is None and check.n >= MINIMUM_SAMPLES:
        return replace(check, verdict="pass", reason="every sample scores the same")
    limit = check.rule_out
    if check.bound is None or check.margin is None or (limit is None and check.bound > check.margin):
        return replace(check, verdict="undecided", reason="these samples could not have shown any loss")
    if check.bound <= max(check.margin, limit or 0.0):
        return replace(check, verdict="pass", reason="a loss that matters is ruled out")
    if limit is not None and limit <= check.margin:
        return replace(check, verdict="undecided", reason="rule_out is not above the margin: give both in one unit")
    return replace(
        check, verdict="undecided", reason="neither a regression, nor ruled out", samples_needed=_needed(check)
    )


def _needed(check: Check) -> int | None:
    """About how many samples make the detectable loss as small as the one to be ruled out; errors go with 1/sqrt(n)."""
    if check.detectable is None or check.rule_out is None or check.margin is None:
        return None
    excess = (check.detectable - check.margin) / (check.rule_out - check.margin)
    return math.ceil(check.n * excess**2) if excess > 1 else None
