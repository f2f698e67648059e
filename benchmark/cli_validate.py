"""``audiometry validate``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from audiometry.benchmark.validate import Report
    from audiometry.benchmark.validate_checks import Check, Memory

__all__ = ["register"]

HELP = """Find what moves a model's answers beside the question, and whether its memory grows.

It asks the same samples in order, shuffled, and in batches, each twice and each in a process of its own; nothing is
cached. The exit code is 1 if answers move although the model says that it is deterministic, or if its memory grows.

\b
Examples:
  audiometry validate whisper
  audiometry validate transformers-asr:path=./checkpoint --batch-size 16
  audiometry validate mine --plugin mine.py -t wer-asterisk-en --samples 64 --json
"""

CHANGES = {
    "repetition": "asked again, nothing changed (nondeterminism)",
    "order": "shuffled, batch 1 (state between samples)",
    "batch": "batch {size}, in order (batch variance)",
}

LONGEST_SHOWN = 120
LEAD_SHOWN = 30


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("validate", help=HELP)(validate_model)


def validate_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME[:k=v,k=v]")],
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", "-t", metavar="TASK", help="One task. [default: the first that is ready and fits]"),
    ] = None,
    samples: Annotated[int, typer.Option(help="The first N samples of a fixed order.")] = 32,
    batch_size: Annotated[int, typer.Option("--batch-size", "-b", help="N of the batches.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the samples' seeds and of the shuffling.")] = 0,
    tolerance: Annotated[float, typer.Option(help="Difference of numbers that counts as none.")] = 1e-4,
    sample_timeout: Annotated[float, typer.Option(help="Seconds after which a sample is given up.")] = 600.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …, for a model that takes a device.")] = None,
    cpus: Annotated[float | None, typer.Option(help="Threads of the model. [default: the model's own]")] = None,
    plugin: Annotated[list[str] | None, typer.Option(help="A Python file with tasks or models of your own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Validate a model."""
    from audiometry.benchmark.validate import ValidateSettings, validate

    settings = ValidateSettings(
        model=model, task=tasks, samples=samples, batch_size=batch_size, seed=seed, tolerance=tolerance,
        sample_timeout=sample_timeout, device=device, cpus=cpus, plugins=tuple(plugin or ()),
    )  # fmt: skip
    report = validate(settings, lambda step: None if quiet else print(f"validate: {step}", file=sys.stderr))
    if as_json:
        print(json.dumps(report.document(), indent=1, ensure_ascii=False))
    else:
        _print(report)
    return 1 if report.problems else 0


def _print(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    from audiometry.benchmark.report import console

    screen = console()
    table = Table(title=Text(f"{report.model} on {report.samples} samples of {report.task}"), title_justify="left")
    for heading in ("what changes", "answers", "differ", "largest difference"):
        table.add_column(heading)
    for check in report.checks:
        named = CHANGES[check.name].format(size=report.batch_size)
        table.add_row(*map(Text, [named, _verdict(check), _count(check), _sizes(check)]))
    screen.print(table)
    for line in _facts(report):
        screen.print(Text(line))
    for check in report.checks:
        for one in check.examples:
            size = "" if one.size == float("inf") else f" ({_size(one.kind, one.size)})"
            screen.print(Text(f"  {check.name}: {one.sample_id}{size}"))
            screen.print(Text("\n".join(f"    {line}" for line in _from_difference(one.before, one.after))))
    screen.print(Text(_conclusion(report)))


def _verdict(check: Check) -> str:
    return {"same": "the same", "moves": "MOVE", "unclear": "cannot be told"}[check.verdict]


def _count(check: Check) -> str:
    told = f"{check.moved} of {check.compared}"
    if check.form_only:
        told += f", {check.form_only} only in case or punctuation"
    if check.hidden:
        told += f"; {check.hidden} change by themselves"
    return told


def _sizes(check: Check) -> str:
    return ", ".join(_size(kind, size) for kind, size in check.largest.items() if size > 0) or "–"


def _size(kind: str, size: float) -> str:
    if size == float("inf"):
        return f"{kind} of another kind or length"
    units = {"text": "characters edited", "embedding": "1 - cosine"}
    return f"{kind} {size:.3g} {units.get(kind, '')}".rstrip()


def _facts(report: Report) -> list[str]:
    loads = sorted(report.load_seconds)
    answered = ", ".join(f"{count} {status}" for status, count in report.statuses.items())
    speeds = [
        f"batch {one.batch_size}: {one.samples_per_second:.3g} samples/s"
        + ("" if one.rtfx is None else f", {one.rtfx:.3g} x real time")
        for one in report.speeds
    ]
    return [
        f"answers: {answered}",
        f"speed: {'; '.join(speeds)}",
        f"load: {loads[len(loads) // 2]:.2f} s (median of {len(loads)})",
        _memory(report.memory),
    ]


def _memory(memory: Memory) -> str:
    told = {"same": "steady", "moves": "GROWS", "unclear": "cannot be told to be steady"}[memory.verdict]
    return (
        f"memory: {told}, {memory.growth:+.2f} MiB per 100 samples [{memory.low:.2f}, {memory.high:.2f}], "
        f"peak {memory.peak:.0f} MiB"
    )


def _conclusion(report: Report) -> str:
    declared = "deterministic" if report.deterministic else "not deterministic"
    if report.problems:
        return f"{report.model} says that it is {declared}; found to move: {', '.join(report.problems)}"
    return f"{report.model} says that it is {declared}; nothing contradicts it"


def _from_difference(before: str, after: str) -> list[str]:
    """Both answers, cut to what can be shown, beginning shortly before they first differ."""
    differing = (at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    start = max(0, next(differing, min(len(before), len(after))) - LEAD_SHOWN)
    return [("…" if start else "") + _short(answer[start:]) for answer in (before, after)]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
