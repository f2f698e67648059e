"""Failed samples: too many make a task incomplete, and few are never a regression by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_errors import errors

from audiometry.benchmark.compare import open_side
from audiometry.benchmark.gate import Gate, gate
from audiometry.benchmark.gate_config import DEFAULT, GateConfig, Rule

Write = Callable[..., Path]


def judged(baseline: Path, candidate: Path, *rules: Rule, **settings: Any) -> Gate:
    config = GateConfig(rules, **settings) if rules else DEFAULT
    return gate(open_side(str(baseline)), open_side(str(candidate)), config)


@pytest.mark.parametrize(("failed", "verdict"), [(0, "pass"), (2, "pass"), (3, "incomplete"), (6, "incomplete")])
def test_failed_samples(write_run: Write, tmp_path: Path, failed: int, verdict: str) -> None:
    """Six of 200 are 3 %: never a pass by default; one in a hundred is allowed."""
    run = write_run(tmp_path / "a", errors())
    other = write_run(tmp_path / "b", errors(), failed=failed)
    for sides in ((run, other), (other, run)):
        found = judged(*sides)
        assert found.verdict == verdict
        assert sum(found.checks[0].failed) == failed
    assert judged(run, other, Rule(), max_failures=0.05).verdict == "pass"


def test_the_reason_names_the_failures(write_run: Write, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", errors())
    found = judged(run, write_run(tmp_path / "b", errors() + 5, failed=6))
    assert found.exit_code == 2, "a regression is not claimed from broken evidence"
    assert found.checks[0].reason == (
        "task 'pairs': 6 of the candidate's 200 samples failed (3.0%), more than max_failures 1.0% allows"
    )


FEW = 15
GROUPS = ["soft"] * 60 + ["loud"] * 1940
"""Fifteen failed of 2,000 are under 1 %, and a quarter of the slice that they are in."""


def with_failures(counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Every word of the first few samples is wrong, as their task counts an answer that is not there."""
    return np.concatenate([np.full(FEW, 10), counts[FEW:]])


def test_failed_samples_alone_are_no_regression(write_run: Write, tmp_path: Path) -> None:
    before = errors(2000)
    old = write_run(tmp_path / "a", before, groups=GROUPS)
    new = write_run(tmp_path / "b", with_failures(before), groups=GROUPS, failed=FEW)
    found = judged(old, new)
    assert (found.verdict, found.exit_code) == ("incomplete", 2)
    told = {check.slice: (check.verdict, check.failed) for check in found.checks}
    assert told["all"] == told["group=soft"] == ("incomplete", (0, FEW))
    assert told["group=loud"] == ("pass", (0, 0))
    (soft,) = (check for check in found.checks if check.slice == "group=soft")
    assert soft.p_adjusted < 0.001
    assert soft.reason == "failed samples alone: without those that failed on either side, Holm's p is 1"
    both = write_run(tmp_path / "c", with_failures(before), groups=GROUPS, failed=FEW)
    assert judged(new, both).verdict == "pass", "where both failed nothing is lost"


def test_a_regression_beside_failed_samples_stays_one(write_run: Write, tmp_path: Path) -> None:
    before = errors(2000)
    after = with_failures(before)
    after[FEW:60] += 1
    old = write_run(tmp_path / "a", before, groups=GROUPS)
    new = write_run(tmp_path / "b", after, groups=GROUPS, failed=FEW)
    found = judged(old, new)
    assert (found.verdict, found.exit_code) == ("regression", 1)
    assert {check.slice: check.verdict for check in found.checks} == {
        "all": "regression", "group=soft": "regression", "group=loud": "pass",
    }  # fmt: skip


def test_a_regression_elsewhere_is_not_taken_back(write_run: Write, tmp_path: Path) -> None:
    """The check without failed samples is judged once, whatever becomes of the others."""
    before = errors(2000)
    after = with_failures(before)
    after[60:160] += 1
    old = write_run(tmp_path / "a", before, groups=GROUPS)
    found = judged(old, write_run(tmp_path / "b", after, groups=GROUPS, failed=FEW))
    assert {check.slice: check.verdict for check in found.checks} == {
        "all": "regression", "group=soft": "incomplete", "group=loud": "regression",
    }  # fmt: skip


def test_a_slice_in_which_every_sample_failed(write_run: Write, tmp_path: Path) -> None:
    groups = ["lost"] * 20 + ["kept"] * 1980
    before = errors(2000)
    after = np.concatenate([np.full(20, 10), before[20:]])
    old = write_run(tmp_path / "a", before, groups=groups)
    found = judged(old, write_run(tmp_path / "b", after, groups=groups, failed=20), Rule(slice="group=lost"))
    (check,) = found.checks
    assert (check.verdict, check.failed) == ("incomplete", (0, 20))
