"""The gate's table, Markdown, JUnit XML and JSON, with names that mean harm."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.gate import Check, Gate, GateVerdict
from audiometry.benchmark.gate_report import gate_document, headline, junit, markdown, print_gate, write_report

CHECK = Check(
    "wer-x", "wer", "fraction", "lower", "all", 500, (0, 1), 0.05, 0.06, 0.01, 0.004, 0.0151, 0.02, 0.04, 0.0, 0.025,
    0.0131, "pass", "a loss that matters is ruled out", notes=("these speakers only",),
)  # fmt: skip
LOST = replace(CHECK, slice="group=soft", verdict="regression", p_adjusted=0.0001, reason="surely larger")
OPEN = replace(CHECK, task="mos", unit="points", verdict="undecided", reason="neither", samples_needed=1200)
GONE = replace(
    CHECK, task="gone", baseline=None, candidate=None, loss=None, error=None, bound=None, margin=None, rule_out=None,
    detectable=None, verdict="incomplete", reason="the candidate's run lacks it", notes=(),
)  # fmt: skip
HARM = "<img src=x onerror=alert(1)>|`*_[a](b)\n# @all\x00\x1b[31m&]]>"


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text.encode("utf-8", "strict"))  # noqa: S314  # what we have just written ourselves


def found(*checks: Check, problems: tuple[str, ...] = (), notes: tuple[str, ...] = ()) -> Gate:
    return Gate(("run-a", "m"), ("run-b", "n"), 0.04, checks, problems, notes)


@pytest.mark.parametrize(
    ("gate", "verdict", "code"),
    [
        (found(CHECK), "pass", 0),
        (found(CHECK, OPEN), "undecided", 2),
        (found(CHECK, OPEN, GONE), "incomplete", 2),
        (found(CHECK, OPEN, GONE, LOST), "regression", 1),
        (found(CHECK, problems=("the run is partial",)), "incomplete", 2),
        (found(LOST, problems=("the run is partial",)), "regression", 1),
        (found(), "undecided", 2),
    ],
)
def test_what_decides(gate: Gate, verdict: GateVerdict, code: int) -> None:
    assert (gate.verdict, gate.exit_code) == (verdict, code)
    assert headline(gate).startswith(verdict.upper())


def test_junit_counts_and_names() -> None:
    text = junit(found(CHECK, LOST, OPEN, GONE, problems=("the run is partial",)))
    root = parsed(text)
    suite = root[0]
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    for element in (root, suite):
        assert {key: element.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
            "tests": "5", "failures": "1", "errors": "3", "skipped": "0",
        }  # fmt: skip
    cases = suite.findall("testcase")
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("wer-x", "wer [all]"), ("wer-x", "wer [group=soft]"), ("mos", "wer [all]"), ("gone", "wer [all]"),
        ("audiometry.gate", "problem 1"),
    ]  # fmt: skip
    assert [child.tag for child in cases[1]] == ["failure", "system-out"]
    failure, error = cases[1].find("failure"), cases[2].find("error")
    assert failure is not None
    assert error is not None
    assert failure.get("message") == "regression: wer-x, wer, group=soft: surely larger"
    assert error.get("type") == "undecided"
    assert "about 1200 samples would do (there are 500)" in (error.get("message") or "")
    output = cases[0].findtext("system-out") or ""
    assert "detectable: 1.31 %" in output
    properties = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert properties["verdict"] == "regression"
    assert properties["candidate"] == "run-b::n"


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_name_makes_whole_xml_and_whole_table_rows(task: str, slice_name: str) -> None:
    gate = found(replace(CHECK, task=task, slice=slice_name, verdict="regression"), problems=(task,))
    assert parsed(junit(gate))[0].get("failures") == "1"
    rows = [line for line in markdown(gate).splitlines() if line.startswith("| regression")]
    assert len(rows) == 1
    assert rows[0].replace(r"\\", "").replace(r"\|", "").count("|") == 14


def test_harm_stays_text() -> None:
    text = markdown(found(replace(CHECK, task=HARM, slice=HARM), problems=(HARM,), notes=(HARM,)))
    assert "<img" not in text.replace(r"\<", "")
    assert "@all" not in text
    assert "\x00" not in text
    assert "\n# " not in text
    named = markdown(Gate(("run`", HARM), ("b", "c\nd"), 0.04, (CHECK,), (), ()))
    assert "`run'`" in named
    assert "`c d`" in named


def test_the_detectable_loss_is_always_shown(capsys: pytest.CaptureFixture[str]) -> None:
    gate = found(CHECK, LOST, OPEN, GONE, notes=("not checked: x",))
    print_gate(gate)
    out = capsys.readouterr().out
    for text in (out, markdown(gate), junit(gate), json.dumps(gate_document(gate))):
        assert "detectable" in text
    assert out.count("1.31 %") == 2
    assert "0.0131" in out
    assert "unknown" in out
    assert "note: these speakers only (wer-x, all and 2 more)" in out
    assert out.index("regression") < out.index("undecided")
    assert "<0.001" in out
    assert out.rstrip().endswith("REGRESSION: 4 checks: 1 regression, 1 incomplete, 1 undecided, 1 pass")


def test_json_is_plain() -> None:
    document = gate_document(found(CHECK, GONE, problems=("p",)))
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert again["checks"][0]["failed_candidate"] == 1
    assert again["checks"][1]["detectable"] is None
    assert (again["verdict"], again["exit_code"], again["power"]) == ("incomplete", 2, 0.8)


def test_a_gate_without_checks(capsys: pytest.CaptureFixture[str]) -> None:
    gate = found(problems=("there is nothing to check",))
    print_gate(gate)
    assert "INCOMPLETE: 0 checks: no check" in capsys.readouterr().out
    assert "| verdict" not in markdown(gate)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*choose another place"):
        write_report(tmp_path / "file" / "x.md", "")
    write_report(tmp_path / "new" / "deep" / "x.md", "text")
    assert (tmp_path / "new" / "deep" / "x.md").read_text() == "text"
