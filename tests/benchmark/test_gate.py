"""The gate from run folders to verdicts: hand-made runs for every one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_errors import errors, moved

from audiometry.benchmark.compare import open_side
from audiometry.benchmark.gate import Check, Gate, gate
from audiometry.benchmark.gate_config import DEFAULT, Amount, GateConfig, Rule

Write = Callable[..., Path]


def judged(baseline: Path, candidate: Path, *rules: Rule, **settings: Any) -> Gate:
    """The gate's findings; a run that is given as both is taken to have been measured twice."""
    config = GateConfig(rules, **settings) if rules else DEFAULT
    sides = open_side(str(baseline)), open_side(str(candidate))
    return gate(
        sides[0], replace(sides[1], run=f"{sides[1].run}, again") if baseline == candidate else sides[1], config
    )


def check_of(found: Gate, slice_name: str = "all", metric: str = "wer") -> Check:
    return next(check for check in found.checks if check.slice == slice_name and check.metric == metric)


def test_the_same_answers_pass(write_run: Write, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", errors())
    found = judged(run, run)
    assert (found.verdict, found.exit_code, found.problems) == ("pass", 0, ())
    (check,) = found.checks
    assert (check.loss, check.p, check.n) == (0.0, 1.0, 200)
    assert "no sample changed" in check.notes
    assert check.detectable is not None
    assert 0 < check.detectable < 0.1


def test_a_run_beside_itself_is_no_comparison(write_run: Write, tmp_path: Path) -> None:
    side = open_side(str(write_run(tmp_path / "a", errors())))
    found = gate(side, side)
    assert (found.verdict, found.exit_code) == ("incomplete", 2)
    assert found.problems == ("baseline and candidate are the same: m in run run-a",)
    both = write_run(tmp_path / "b", errors(), models=("m", "n"))
    assert gate(open_side(f"{both}::m"), open_side(f"{both}::n")).verdict == "pass", "two models of one run"


def test_a_regression_fails(write_run: Write, tmp_path: Path) -> None:
    before = errors()
    runs = write_run(tmp_path / "a", before), write_run(tmp_path / "b", moved(before, 30, 10))
    found = judged(*runs)
    (check,) = found.checks
    assert (found.verdict, found.exit_code) == ("regression", 1)
    assert check.loss == pytest.approx(20 / 2000)
    # 30 of 40 changes are for the worse: a binomial test gives 0.0011 by hand
    assert check.p == pytest.approx(0.00111, abs=1e-5)
    assert judged(*reversed(runs)).verdict == "pass"


def test_neither_shown_nor_ruled_out_is_undecided(write_run: Write, tmp_path: Path) -> None:
    before = errors()
    runs = write_run(tmp_path / "a", before), write_run(tmp_path / "b", moved(before, 15, 12))
    strict = Rule(rule_out=Amount(0.003))
    found = judged(*runs, strict)
    (check,) = found.checks
    assert (found.verdict, found.exit_code, check.reason) == ("undecided", 2, "neither a regression, nor ruled out")
    assert check.detectable is not None
    assert check.samples_needed == pytest.approx(200 * (check.detectable / 0.003) ** 2, abs=1)
    assert judged(*runs, Rule(rule_out=Amount(0.05))).verdict == "pass"


def test_a_loss_within_the_margin_is_no_regression(write_run: Write, tmp_path: Path) -> None:
    before = errors()
    runs = write_run(tmp_path / "a", before), write_run(tmp_path / "b", moved(before, 30, 10))
    found = judged(*runs, Rule(margin=Amount(0.02), rule_out=Amount(0.04)))
    assert found.verdict == "pass"
    assert check_of(found).margin == 0.02
    relative = judged(*runs, Rule(margin=Amount(0.5, relative=True), rule_out=Amount(0.9, relative=True)))
    assert relative.verdict == "pass"
    assert check_of(relative).margin == pytest.approx(0.5 * before.sum() / 2000)


def test_one_bad_slice_fails_though_the_whole_does_not(write_run: Write, tmp_path: Path) -> None:
    groups = ["loud"] * 160 + ["soft"] * 40
    before = np.ones(200, dtype=int)
    after = before.copy()
    after[160:180] += 1  # soft: 20 more
    after[:20] -= 1  # loud: 20 less
    runs = write_run(tmp_path / "a", before, groups=groups), write_run(tmp_path / "b", after, groups=groups)
    found = judged(*runs)
    assert found.exit_code == 1
    assert {check.slice: check.verdict for check in found.checks} == {
        "all": "pass", "group=loud": "pass", "group=soft": "regression",
    }  # fmt: skip
    assert check_of(found, "group=soft").p_adjusted == pytest.approx(3 * 0.5**20)
    assert judged(*runs, Rule()).verdict == "pass"


def test_small_and_doubled_slices_are_passed_over_and_told(write_run: Write, tmp_path: Path) -> None:
    groups = ["loud"] * 190 + ["soft"] * 10
    run = write_run(tmp_path / "a", errors(), groups=groups)
    found = judged(run, run)
    assert [check.slice for check in found.checks] == ["all", "group=loud"]
    assert found.notes == ("task 'pairs', slice 'group=soft' is not checked: 10 samples, under 20",)
    asked = judged(run, run, Rule(slice="group=soft"))
    assert (asked.verdict, asked.checks[0].reason) == ("undecided", "under 20 samples")
    alike = write_run(tmp_path / "b", errors(), groups=["one"] * 200)
    found = judged(alike, alike)
    assert [check.slice for check in found.checks] == ["all"]
    assert "same samples as group=one" in found.checks[0].notes
    stricter = judged(alike, alike, Rule(margin=Amount(0.01)), Rule(slice="group=*"))
    assert [check.slice for check in stricter.checks] == ["all", "group=one"]


@pytest.mark.parametrize("status", ["partial", "too many failures", "running"])
def test_a_run_that_is_not_complete(write_run: Write, tmp_path: Path, status: str) -> None:
    run = write_run(tmp_path / "a", errors())
    other = write_run(tmp_path / "b", errors(), status=status)
    found = judged(run, other)
    assert (found.verdict, found.exit_code) == ("incomplete", 2)
    assert found.problems == (f"the candidate's run run-b is not complete: {status}",)
    assert judged(other, run).problems == (f"the baseline's run run-b is not complete: {status}",)
    worse = write_run(tmp_path / "c", errors() + 1, status=status)
    assert judged(run, worse).exit_code == 1, "what is measured on all samples stands"


def test_missing_tasks_and_metrics(write_run: Write, tmp_path: Path) -> None:
    both = write_run(tmp_path / "a", errors(), tasks=("pairs", "more-pairs"))
    one = write_run(tmp_path / "b", errors())
    found = judged(both, one)
    assert (found.verdict, found.exit_code) == ("incomplete", 2)
    assert [check.verdict for check in found.checks] == ["pass", "incomplete"]
    assert found.checks[1].reason == "the candidate's run run-b lacks task 'more-pairs'"
    back = judged(one, both)
    assert (back.verdict, back.notes) == ("pass", ("not checked, as the baseline lacks them: more-pairs",))
    named = judged(one, both, Rule(), Rule(task="more-pairs"))
    assert named.problems == ("nothing fits the check of task 'more-pairs', metric 'headline', slice 'all'",)
    assert named.exit_code == 2
    assert judged(one, one, Rule(), Rule(metric="cer")).exit_code == 2
    assert judged(one, one, Rule(), Rule(slice="gender=*")).exit_code == 2
    assert judged(one, one, Rule(skip=True)).problems == ("there is nothing to check",)


def test_a_missing_task_keeps_its_checks_in_the_count(write_run: Write, tmp_path: Path) -> None:
    """What is left must not become more sensitive: Holm counts every slice and metric that the baseline has."""
    before, names = errors(), ("pairs", "more-pairs")
    groups = [f"g{i % 5}" for i in range(200)]
    old = write_run(tmp_path / "a", before, groups=groups, tasks=names)
    new = write_run(tmp_path / "b", moved(before, 60, 10), groups=groups, tasks=names)
    less = write_run(tmp_path / "c", moved(before, 60, 10), groups=groups)
    rules = Rule(metric="*"), Rule(metric="*", slice="*=*")
    whole, found = judged(old, new, *rules), judged(old, less, *rules)
    asked = [(check.task, check.metric, check.slice, check.n) for check in found.checks]
    assert asked == [(check.task, check.metric, check.slice, check.n) for check in whole.checks]
    assert len(asked) == 2 * 6 * 3, "two tasks, all samples and five groups, three metrics"
    assert {check.reason for check in found.checks[18:]} == {"the candidate's run run-c lacks task 'more-pairs'"}
    least = min(found.checks, key=lambda check: check.p)
    assert least.p_adjusted == pytest.approx(36 * least.p)


def test_a_missing_task_that_the_baseline_cannot_tell_of_is_a_check_a_rule(write_run: Write, tmp_path: Path) -> None:
    one = write_run(tmp_path / "b", errors())
    both = write_run(tmp_path / "a", errors(), tasks=("pairs", "no-task-of-today"))
    found = judged(both, one)
    assert [(check.slice, check.verdict) for check in found.checks[1:]] == [
        ("all", "incomplete"),
        ("*=*", "incomplete"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [("version", "0", "different versions"), ("settings", {"x": "1"}, "different settings"),
     ("digest", "e", "different samples or targets")],
)  # fmt: skip
def test_different_samples(write_run: Write, tmp_path: Path, key: str, value: object, reason: str) -> None:
    run = write_run(tmp_path / "a", errors())
    found = judged(run, write_run(tmp_path / "b", errors() + 1, **{key: value}))
    assert found.exit_code == 2
    assert reason in found.checks[0].reason


def test_other_samples_and_no_scores(write_run: Write, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", errors())
    found = judged(run, write_run(tmp_path / "b", errors(150)))
    assert "50 samples are in one run only" in found.checks[0].reason
    empty = write_run(tmp_path / "c", errors(), models=("m", "n"))
    document = json.loads((empty / "run.json").read_text())
    document["models"][1]["name"] = "o"
    (empty / "run.json").write_text(json.dumps(document))
    side = open_side(f"{empty}::o")
    assert "no scores of o and o" in gate(side, side).checks[0].reason
    (run / "scores.parquet").unlink()
    assert "cannot read the scores" in judged(run, run).checks[0].reason


def test_later_rules_override_and_directions(write_run: Write, tmp_path: Path) -> None:
    before = np.ones(200, dtype=int)
    after = moved(before, 60, 0)
    runs = write_run(tmp_path / "a", before), write_run(tmp_path / "b", after)
    rules = Rule(metric="*"), Rule(metric="level", skip=True), Rule(metric="wer", margin=Amount(0.1))
    found = judged(*runs, *rules)
    assert [check.metric for check in found.checks] == ["wer", "accuracy"]
    assert check_of(found).margin == 0.1
    louder = judged(*runs, Rule(metric="level"))
    assert louder.checks[0].loss == pytest.approx(-0.3), "more is better"
    turned = judged(*runs, Rule(metric="level", direction="lower"))
    assert turned.checks[0].loss == pytest.approx(0.3)
    assert turned.exit_code == 1


def test_many_checks_cost_power(write_run: Write, tmp_path: Path) -> None:
    before = errors(400)
    groups = [f"g{i % 8}" for i in range(400)]
    runs = [
        write_run(tmp_path / name, counts, groups=groups)
        for name, counts in (("a", before), ("b", moved(before, 40, 22)))
    ]
    alone, all_of_them = judged(*runs, Rule()), judged(*runs)
    assert len(all_of_them.checks) == 9
    assert alone.verdict == "regression"
    assert check_of(all_of_them).p == alone.checks[0].p
    assert check_of(all_of_them).p_adjusted == pytest.approx(min(1.0, 9 * alone.checks[0].p))
    assert check_of(all_of_them).verdict != "regression"
    few, many = alone.checks[0].detectable, check_of(all_of_them).detectable
    assert few is not None
    assert many is not None
    assert few < many


def test_a_perfect_baseline(write_run: Write, tmp_path: Path) -> None:
    """Half of no errors is nothing: what must be ruled out is the detectable loss."""
    perfect = write_run(tmp_path / "a", np.zeros(200, dtype=int))
    one_error = write_run(tmp_path / "b", moved(np.zeros(200, dtype=int), 1, 0))
    found = judged(perfect, one_error)
    assert found.verdict == "pass"
    assert found.checks[0].rule_out == found.checks[0].detectable
    assert judged(perfect, perfect).verdict == "pass"
    assert judged(perfect, perfect, Rule(rule_out=Amount(1e-6))).exit_code == 2
    mixed = judged(perfect, one_error, Rule(margin=Amount(1e-4), rule_out=Amount(0.1, relative=True)))
    assert mixed.verdict == "pass"


def test_a_margin_above_what_must_be_ruled_out(write_run: Write, tmp_path: Path) -> None:
    before = errors()
    runs = write_run(tmp_path / "a", before), write_run(tmp_path / "b", moved(before, 15, 12))
    found = judged(*runs, Rule(margin=Amount(0.001), rule_out=Amount(0.01, relative=True)))
    assert found.checks[0].reason == "rule_out is not above the margin: give both in one unit"
    assert found.exit_code == 2


def test_too_few_samples_to_show_anything(write_run: Write, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", np.array([1, 0, 1]))
    found = judged(run, run, Rule())
    assert (found.exit_code, found.checks[0].reason) == (2, "these samples could not have shown any loss")
    assert found.checks[0].detectable is None


def test_metrics_without_an_end_and_at_their_end(write_run: Write, tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", errors())
    (level,) = judged(run, run, Rule(metric="level")).checks
    assert (level.verdict, level.bound, level.reason) == ("pass", None, "every sample scores the same")
    few = write_run(tmp_path / "b", errors(15))
    assert judged(few, few, Rule(metric="level")).exit_code == 2
    hopeless = write_run(tmp_path / "c", np.ones(200, dtype=int)), write_run(tmp_path / "d", np.full(200, 2))
    (accuracy,) = judged(*hopeless, Rule(metric="accuracy")).checks
    assert (accuracy.verdict, accuracy.bound, accuracy.detectable) == ("pass", 0.0, None), "there is nothing to lose"
