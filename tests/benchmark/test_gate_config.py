"""``gate.toml``: what is read, and what is refused in one line that says how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.gate_config import Amount, GateConfig, Rule, read_gate_config
from audiometry.benchmark.types import Metric

WER = Metric("wer")
ACCURACY = Metric("accuracy", direction="higher", high=1.0)
LEVEL = Metric("level", unit="dB", direction="higher", low=float("-inf"))


def read(tmp_path: Path, text: str) -> GateConfig:
    path = tmp_path / "gate.toml"
    path.write_text(text)
    return read_gate_config(path)


def test_everything_that_can_be_written(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        alpha = 0.02
        max_failures = 0
        resamples = 500
        seed = 3

        [[check]]
        task = "wer-*"

        [[check]]
        task = "spoof-embedded"
        metric = "eer*"
        slice = "attack=*"
        margin = 0.01
        rule_out = 0.05
        direction = "lower"

        [[check]]
        margin = { relative = 0.05 }
        rule_out = { relative = 0.2 }

        [[check]]
        slice = "duration=*"
        rule_out = "detectable"
        skip = true
        """,
    )
    assert found == GateConfig(
        (
            Rule("wer-*"),
            Rule("spoof-embedded", "eer*", "attack=*", Amount(0.01), Amount(0.05), "lower"),
            Rule(margin=Amount(0.05, relative=True), rule_out=Amount(0.2, relative=True)),
            Rule(slice="duration=*", skip=True),
        ),
        0.02, 0.0, 500, 3,
    )  # fmt: skip
    assert found.given
    assert str(found.rules[1]) == "task 'spoof-embedded', metric 'eer*', slice 'attack=*'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has no check; write at least \[\[check\]\]"),
        ("check = 3", "has no check"),
        ("checks = []\n[[check]]", "unknown key 'checks'; did you mean 'check'"),
        ("[[check]]\nmargn = 1", "check 1: unknown key 'margn'; did you mean 'margin'"),
        ("[[check]]\nrule-out = 1", "unknown key 'rule-out'; did you mean 'rule_out'"),
        ("[[check]]\n[[check]]\ntask = 3", "check 2: task must be a text"),
        ('[[check]]\nmetric = ""', "metric must be a text"),
        ('[[check]]\nmargin = "5 %"', r"margin must be a number or \{relative = NUMBER\}, not '5 %'"),
        ('[[check]]\nrule_out = "all"', r'or "detectable", not \'all\''),
        ("[[check]]\nmargin = true", "margin must be a number"),
        ("[[check]]\nmargin = -0.1", "margin -0.1 is out of range; it must lie from 0"),
        ("[[check]]\nmargin = nan", "margin nan is out of range"),
        ("[[check]]\nmargin = {relativ = 1}", "check 1, margin: unknown key 'relativ'; did you mean 'relative'"),
        ("[[check]]\nmargin = {}", "margin must be a number"),
        ('[[check]]\nmargin = {relative = "x"}', "margin.relative must be a number"),
        ("[[check]]\nmargin = 0.1\nrule_out = 0.1", "rule_out 0.1 is not above the margin 0.1"),
        ('[[check]]\ndirection = "up"', "direction must be 'lower' or 'higher'"),
        ("[[check]]\nskip = 1", "skip must be true or false"),
        ("alpha = 0.5\n[[check]]", "alpha 0.5 is out of range"),
        ("alpha = 0\n[[check]]", "alpha 0 would never find a regression"),
        ("max_failures = 1.1\n[[check]]", "max_failures 1.1 is out of range"),
        ("resamples = 99\n[[check]]", "resamples 99 is out of range; it must lie from 100"),
        ("seed = 1.5\n[[check]]", "seed must be a whole number"),
        ("alpha = 'x'\n[[check]]", "alpha must be a number"),
        ("alpha = ", "is not TOML"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path, text)
    assert "gate.toml" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the gate's configuration .*No such file"):
        read_gate_config(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not TOML"):
        read_gate_config(tmp_path / "bytes.toml")


def test_all_samples_may_fail_where_somebody_says_so(tmp_path: Path) -> None:
    assert read(tmp_path, "max_failures = 1\n[[check]]").max_failures == 1
    assert issubclass(SettingError, UserError)


def test_relative_amounts() -> None:
    tenth = Amount(0.1, relative=True)
    assert tenth.of(WER, 0.07) == pytest.approx(0.007)
    assert tenth.of(ACCURACY, 0.9) == pytest.approx(0.01), "a tenth of what is missing"
    assert tenth.of(LEVEL, -20.0) == pytest.approx(2.0), "no best value: a tenth of its size"
    assert Amount(0.1).of(LEVEL, -20.0) == 0.1


def test_which_rule_may_stand_for_another() -> None:
    plain, margin = Rule(), Rule(margin=Amount(0.01))
    assert plain.asks_as_much(margin)
    assert not margin.asks_as_much(plain)
    assert Rule(rule_out=Amount(0.01)).asks_as_much(Rule(rule_out=Amount(0.02)))
    assert not Rule(rule_out=Amount(0.02)).asks_as_much(Rule(rule_out=Amount(0.01)))
    assert not plain.asks_as_much(Rule(rule_out=Amount(0.01)))
    assert not Rule(rule_out=Amount(0.01, relative=True)).asks_as_much(Rule(rule_out=Amount(0.02)))
    assert not Rule(margin=Amount(0.01, relative=True)).asks_as_much(margin)
    assert not plain.asks_as_much(Rule(direction="higher"))
