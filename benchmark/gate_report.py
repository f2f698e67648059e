"""What a gate found, for people and for machines: a table, Markdown, JUnit XML and JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from audiometry.benchmark.errors import StoreError
from audiometry.benchmark.gate import CONFIDENCE, Check, Gate
from audiometry.benchmark.gate_statistics import POWER
from audiometry.benchmark.report import console, format_value

__all__ = ["gate_document", "headline", "junit", "markdown", "print_gate", "write_report"]

HEADINGS = ("verdict", "task", "metric", "slice", "n", "baseline", "candidate", "loss", "p, Holm", "margin",
            "loss below", "must be below", "detectable")  # fmt: skip
ORDER = ("regression", "incomplete", "undecided", "pass")
NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NOT_IN_A_LINE = re.compile(r"\s+|[\x00-\x1f\x7f]")


def headline(gate: Gate) -> str:
    """One sentence: the verdict and how many checks ended how."""
    counts = {verdict: sum(check.verdict == verdict for check in gate.checks) for verdict in ORDER}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) or "no check"
    return f"{gate.verdict.upper()}: {len(gate.checks)} checks: {told}"


def legend(gate: Gate) -> list[str]:
    """What the columns mean."""
    return [
        "loss: candidate against baseline, positive is worse.",
        f"regression: surely larger than the margin; the chance of any false one, over all checks, is {gate.alpha:g}.",
        f"loss below: with {CONFIDENCE:.0%} confidence the true loss is; a pass needs it below what must be ruled out.",
        f"detectable: a true loss of this size would have been called a regression with {POWER:.0%} probability.",
    ]


def gate_document(gate: Gate) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    return {
        "verdict": gate.verdict,
        "exit_code": gate.exit_code,
        "baseline": {"run": gate.baseline[0], "model": gate.baseline[1]},
        "candidate": {"run": gate.candidate[0], "model": gate.candidate[1]},
        "alpha": gate.alpha,
        "power": POWER,
        "confidence": CONFIDENCE,
        "problems": list(gate.problems),
        "notes": list(gate.notes),
        "checks": [_check_document(check) for check in gate.checks],
    }


def _check_document(check: Check) -> dict[str, Any]:
    document = asdict(check)
    failed = document.pop("failed")
    return document | {"failed_baseline": failed[0], "failed_candidate": failed[1], "notes": list(check.notes)}


def print_gate(gate: Gate) -> None:
    """Print the table to stdout: what failed comes first."""
    from rich.table import Table
    from rich.text import Text

    screen = console()
    screen.print(Text(f"baseline:  {gate.baseline[1]} ({gate.baseline[0]})"))
    screen.print(Text(f"candidate: {gate.candidate[1]} ({gate.candidate[0]})"))
    table = Table()
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in HEADINGS[:4] else "right")
    for check in _ordered(gate):
        table.add_row(*map(Text, _cells(check)))
    if gate.checks:
        screen.print(table)
    for line in (*_explained(gate), *legend(gate), headline(gate)):
        screen.print(Text(line))


def markdown(gate: Gate) -> str:
    """A summary for a pull request, or for ``$GITHUB_STEP_SUMMARY``."""
    lines = [
        f"## Regression gate: {gate.verdict}",
        "",
        f"Baseline {_code(gate.baseline[1])} ({_code(gate.baseline[0])}), candidate {_code(gate.candidate[1])} "
        f"({_code(gate.candidate[0])}). {_plain(headline(gate))}.",
        "",
    ]
    if gate.checks:
        lines += ["| " + " | ".join(HEADINGS) + " |", "|---|---|---|---|" + "--:|" * (len(HEADINGS) - 4)]
        lines += ["| " + " | ".join(map(_plain, _cells(check))) + " |" for check in _ordered(gate)]
        lines.append("")
    lines += [f"- {_plain(line)}" for line in (*_explained(gate), *legend(gate))]
    return "\n".join(lines) + "\n"


def junit(gate: Gate) -> str:
    """JUnit XML: a test case a check. A regression is a failure; undecided, incomplete and problems are errors."""
    cases = [_case(check) for check in gate.checks]
    for number, problem in enumerate(gate.problems, 1):
        case = ET.Element("testcase", {"classname": "audiometry.gate", "name": f"problem {number}", "time": "0"})
        ET.SubElement(case, "error", {"type": "incomplete", "message": _xml(problem)})
        cases.append(case)
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": str(sum(case.find("error") is not None for case in cases)),
        "skipped": "0",
        "time": "0",
    }
    suites = ET.Element("testsuites", {"name": "audiometry gate", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": "audiometry gate", **counts})
    properties = ET.SubElement(suite, "properties")
    facts = {
        "verdict": gate.verdict, "alpha": f"{gate.alpha:g}", "power": f"{POWER:g}", "confidence": f"{CONFIDENCE:g}",
        "baseline": "::".join(gate.baseline), "candidate": "::".join(gate.candidate),
    }  # fmt: skip
    for name, value in facts.items():
        ET.SubElement(properties, "property", {"name": name, "value": _xml(value)})
    suite.extend(cases)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def write_report(path: Path, text: str) -> None:
    """Write a report, making its folder.

    Raises StoreError if that fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; choose another place") from error


def _case(check: Check) -> ET.Element:
    name = f"{check.metric} [{check.slice}]"
    case = ET.Element("testcase", {"classname": _xml(check.task), "name": _xml(name), "time": "0"})
    facts = [f"{heading}: {cell}" for heading, cell in zip(HEADINGS, _cells(check), strict=True)]
    text = _xml("\n".join([*facts, *check.notes]))
    if check.verdict != "pass":
        kind = "failure" if check.verdict == "regression" else "error"
        ET.SubElement(case, kind, {"type": check.verdict, "message": _xml(_sentence(check))})
    ET.SubElement(case, "system-out").text = text
    return case


def _ordered(gate: Gate) -> Sequence[Check]:
    return sorted(gate.checks, key=lambda check: ORDER.index(check.verdict))


def _cells(check: Check) -> list[str]:
    def shown(value: float | None) -> str:
        return format_value(value, check.unit) if value is not None else "unknown"

    return [
        check.verdict, check.task, check.metric, check.slice, str(check.n), shown(check.baseline),
        shown(check.candidate), shown(check.loss), "<0.001" if check.p_adjusted < 0.001 else f"{check.p_adjusted:.3f}",
        shown(check.margin), shown(check.bound),
        shown(check.rule_out), shown(check.detectable),
    ]  # fmt: skip


def _explained(gate: Gate) -> list[str]:
    """Why what did not pass did not, and what qualifies the rest."""
    lines = [f"problem: {problem}" for problem in gate.problems]
    reasons: Mapping[str, None] = dict.fromkeys(_sentence(check) for check in _ordered(gate) if check.verdict != "pass")
    return [*lines, *reasons, *(f"note: {note}" for note in gate.notes), *_notes(gate)]


def _notes(gate: Gate) -> list[str]:
    """Notes of checks, each once with how many checks have it."""
    notes: dict[str, list[Check]] = {}
    for check in gate.checks:
        for note in check.notes:
            notes.setdefault(note, []).append(check)
    return [
        f"note: {note} ({checks[0].task}, {checks[0].slice}" + (f" and {len(checks) - 1} more)" if checks[1:] else ")")
        for note, checks in notes.items()
    ]


def _sentence(check: Check) -> str:
    told = f"{check.verdict}: {check.task}, {check.metric}, {check.slice}: {check.reason}"
    if check.samples_needed is not None:
        told += f"; about {check.samples_needed} samples would do (there are {check.n})"
    return told


def _xml(text: str) -> str:
    """Without what XML cannot hold."""
    return NOT_IN_XML.sub("\ufffd", text)


def _plain(text: str) -> str:
    """One line in which nothing is read as Markdown or HTML."""
    line = NOT_IN_A_LINE.sub(" ", text)
    return re.sub(r"([\\`*_\[\]<>#!|~&])", r"\\\1", line).replace("@", "&#64;")


def _code(text: str) -> str:
    """A name in code quotes."""
    return "`" + NOT_IN_A_LINE.sub(" ", text).replace("`", "'") + "`"
