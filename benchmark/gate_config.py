"""What a gate checks, and how much worse a candidate may be: ``gate.toml``, or the default.

::

    alpha = 0.04             # chance of any false regression, over all checks together
    max_failures = 0.01      # share of failed samples above which a task is not judged

    [[check]]
    task = "wer-*"           # patterns as in a shell; a later check overrides an earlier one
    metric = "wer"           # the default is each task's headline metric
    slice = "all"            # the default; "gender=*" is every gender
    margin = 0.002           # a loss that is accepted, in the metric's unit; or {relative = 0.05}
    rule_out = 0.01          # a loss that must be ruled out to pass; or {relative = 0.2}, or "detectable"
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.types import Metric

__all__ = ["DEFAULT", "DETECTABLE", "Amount", "GateConfig", "Rule", "matches", "read_gate_config"]

DETECTABLE: Literal["detectable"] = "detectable"


@dataclass(frozen=True, slots=True)
class Amount:
    """A loss in the metric's unit, or relative: a share of how far the baseline is from the best value.

    Of an error rate that is a share of the rate itself; of an accuracy a share of what is missing to 1. A metric
    without a best value (decibels) is measured by its size.
    """

    value: float
    relative: bool = False

    def of(self, metric: Metric, baseline: float) -> float:
        """The loss in the metric's unit.

        >>> accuracy = Metric("accuracy", direction="higher", high=1.0)
        >>> round(Amount(0.1, relative=True).of(accuracy, 0.95), 4), Amount(0.02).of(accuracy, 0.95)
        (0.005, 0.02)
        """
        if not self.relative:
            return self.value
        best = metric.low if metric.direction == "lower" else metric.high
        return self.value * (abs(baseline - best) if math.isfinite(best) else abs(baseline))


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``[[check]]``: which tasks, metrics and slices, and what loss they may show.

    `metric` None is the headline. `rule_out` None is "detectable": the loss that these samples could have shown. With
    `direction` the metric's own is set aside. `skip` takes out what an earlier rule checks.
    """

    task: str = "*"
    metric: str | None = None
    slice: str = "all"
    margin: Amount = Amount(0.0)
    rule_out: Amount | None = None
    direction: Literal["lower", "higher"] | None = None
    skip: bool = False

    def matches_metric(self, metric: Metric, headline: Metric) -> bool:
        """Whether the rule speaks of this metric of a task."""
        return metric == headline if self.metric is None else matches(metric.name, self.metric)

    def asks_as_much(self, other: Rule) -> bool:
        """Whether whatever meets this rule on some samples may stand for the other rule on the same samples.

        >>> Rule(rule_out=Amount(0.02)).asks_as_much(Rule(slice="gender=*", margin=Amount(0.01)))
        True
        >>> Rule(margin=Amount(0.01)).asks_as_much(Rule(slice="gender=*"))
        False
        """
        margin = self.margin.value == 0 or (
            self.margin.relative == other.margin.relative and self.margin.value <= other.margin.value
        )
        rule_out = other.rule_out is None or (
            self.rule_out is not None
            and self.rule_out.relative == other.rule_out.relative
            and self.rule_out.value <= other.rule_out.value
        )
        return margin and rule_out and self.direction == other.direction

    def __str__(self) -> str:
        return f"task {self.task!r}, metric {self.metric or 'headline'!r}, slice {self.slice!r}"


@dataclass(frozen=True, slots=True)
class GateConfig:
    """All rules, the later ones first in rank, and how sure the gate must be."""

    rules: tuple[Rule, ...]
    alpha: float = 0.04
    max_failures: float = 0.01
    resamples: int = 2000
    seed: int = 0
    given: bool = field(default=True)
    """Whether somebody wrote the rules: then a rule that fits nothing is a mistake."""


DEFAULT = GateConfig(
    rules=(Rule(rule_out=Amount(0.5, relative=True)), Rule(slice="*=*")),
    given=False,
)
"""Every task's headline metric: no loss overall, half of the baseline's errors ruled out; no loss in any slice."""


def matches(name: str, pattern: str) -> bool:
    """Whether a name is the pattern itself, or fits it as in a shell, case counting.

    >>> matches("wer-asterisk-en", "wer-*"), matches("tag=[a]", "tag=[a]"), matches("WER", "wer")
    (True, True, False)
    """
    return name == pattern or fnmatchcase(name, pattern)


def read_gate_config(path: Path) -> GateConfig:
    """Read a ``gate.toml``.

    Raises UserError for a file that is not there or not TOML, SettingError for an unknown key, a value of the wrong
    type or out of its range, or a file without a check.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the gate's configuration {path}: {error.strerror}; give a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}; docs/gate.md shows what it must look like") from error
    numbers = {"alpha": (0.0, 0.5), "max_failures": (0.0, 1.0), "resamples": (100, 10**6), "seed": (0, 2**63)}
    _known(document, [*numbers, "check"], str(path))
    checks = document.get("check")
    if not isinstance(checks, list) or not checks or not all(isinstance(check, dict) for check in checks):
        raise SettingError(f'{path} has no check; write at least [[check]] and below it: task = "*"')
    settings = {name: _number(document[name], name, *numbers[name], str(path)) for name in numbers if name in document}
    for name in ("resamples", "seed"):
        if name in settings:
            settings[name] = _whole(document[name], name, str(path))
    if settings.get("alpha") == 0:
        raise SettingError(f"{path}: alpha 0 would never find a regression; 0.04 is the default")
    rules = tuple(_rule(check, f"{path}, check {number}") for number, check in enumerate(checks, 1))
    return GateConfig(rules, **settings)


def _rule(check: Mapping[str, Any], where: str) -> Rule:
    _known(check, list(Rule.__dataclass_fields__), where)
    texts = {name: _text(check[name], name, where) for name in ("task", "metric", "slice") if name in check}
    direction = check.get("direction")
    if direction not in (None, "lower", "higher"):
        raise SettingError(f"{where}: direction must be 'lower' or 'higher' (which is better), not {direction!r}")
    if not isinstance(skip := check.get("skip", False), bool):
        raise SettingError(f"{where}: skip must be true or false, not {skip!r}")
    margin = _amount(check.get("margin", 0.0), "margin", where)
    rule_out = check.get("rule_out", DETECTABLE)
    limit = None if rule_out == DETECTABLE else _amount(rule_out, "rule_out", where)
    if limit is not None and limit.relative == margin.relative and limit.value <= margin.value:
        raise SettingError(
            f"{where}: rule_out {limit.value:g} is not above the margin {margin.value:g}; a loss that is accepted "
            "cannot be ruled out"
        )
    return Rule(**texts, margin=margin, rule_out=limit, direction=direction, skip=skip)


def _amount(value: Any, name: str, where: str) -> Amount:
    if isinstance(value, dict):
        _known(value, ["relative"], f"{where}, {name}")
        if "relative" in value:
            return Amount(float(_number(value["relative"], f"{name}.relative", 0.0, math.inf, where)), relative=True)
    choices = ' or "detectable"' if name == "rule_out" else ""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise SettingError(f"{where}: {name} must be a number or {{relative = NUMBER}}{choices}, not {value!r}")
    return Amount(float(_number(value, name, 0.0, math.inf, where)))


def _number(value: Any, name: str, low: float, high: float, where: str) -> Any:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise SettingError(f"{where}: {name} must be a number, not {value!r}")
    if not (low <= value < high or value == high == 1) or not math.isfinite(value):
        raise SettingError(f"{where}: {name} {value!r} is out of range; it must lie from {low:g} to {high:g}")
    return value


def _whole(value: Any, name: str, where: str) -> int:
    if not isinstance(value, int):
        raise SettingError(f"{where}: {name} must be a whole number, not {value!r}")
    return value


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise SettingError(f'{where}: {name} must be a text such as "wer-*", not {value!r}')
    return value


def _known(given: Mapping[str, Any], names: list[str], where: str) -> None:
    for key in given:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SettingError(f"{where}: unknown key {key!r}; {hint}known: {', '.join(names)}")
