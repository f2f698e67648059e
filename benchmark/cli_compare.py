"""``audiometry compare``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audiometry.benchmark.compare import Changed, Line, Side

__all__ = ["register"]

HELP = """Compare two runs on the same samples: difference, interval, p and a verdict, overall and per slice.

A run is a run folder, or the name of one under AUDIOMETRY_HOME; RUN::MODEL picks one of several models.
The verdict tells how B stands to A.

\b
Examples:
  audiometry compare runs/before runs/after
  audiometry compare runs/x::whisper runs/x::pocketsphinx --margin 0.005
  audiometry compare runs/before runs/after --json
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("compare", help=HELP)(compare_runs)


def compare_runs(
    a: Annotated[str, typer.Argument(metavar="A", help="The run to compare with.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The run that is judged.")],
    margin: Annotated[
        float | None, typer.Option(min=0.0, help="Differences within it are practically equal (0.005 is 0.5 %).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resampling.")] = 0,
    resamples: Annotated[int, typer.Option(min=100, help="Bootstrap resamples.")] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON, and nothing else.")] = False,
) -> None:
    """Compare two runs."""
    from audiometry.benchmark.compare import compare, open_side

    sides = open_side(a), open_side(b)
    lines, changed = compare(*sides, margin=margin, seed=seed, resamples=resamples)
    if as_json:
        print(json.dumps(_document(sides, lines, changed), indent=1, ensure_ascii=False))
    else:
        _print(sides, lines, changed)


def _document(
    sides: tuple[Side, Side], lines: Sequence[Line], changed: Mapping[str, Sequence[Changed]]
) -> dict[str, object]:
    rows = [
        {
            "task": line.task, "slice": line.slice, "metric": line.metric.name, "n": line.n, "a": line.value_a,
            "b": line.value_b, **asdict(line.found), "p_adjusted": line.p_adjusted,
        }
        for line in lines
    ]  # fmt: skip
    names = [{"run": side.run, "model": side.model} for side in sides]
    return {
        "a": names[0],
        "b": names[1],
        "comparisons": rows,
        "changed": {task: [asdict(one) for one in most] for task, most in changed.items()},
    }


def _print(sides: tuple[Side, Side], lines: Sequence[Line], changed: Mapping[str, Sequence[Changed]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from audiometry.benchmark.report import console, format_value

    screen = console()
    screen.print(Text(f"A: {sides[0].model} ({sides[0].run})\nB: {sides[1].model} ({sides[1].run})"))
    for task in changed:
        table = Table(title=Text(task), title_justify="left")
        for heading in ("slice", "n", "A", "B", "B - A", "95 % interval", "p", "p, Holm", "B is"):
            table.add_column(heading, justify="left" if heading in ("slice", "B is") else "right")
        for line in [line for line in lines if line.task == task]:
            unit = line.metric.unit
            found = line.found
            low, high = (format_value(bound, unit) for bound in (found.low, found.high))
            adjusted = "" if line.p_adjusted is None else f"{line.p_adjusted:.3f}"
            values = [format_value(value, unit) for value in (line.value_a, line.value_b, found.difference)]
            cells = [line.slice, str(line.n), *values, f"{low} to {high}", f"{found.p:.3f}", adjusted, found.verdict]
            table.add_row(*map(Text, cells))
        screen.print(table)
        for one in changed[task]:
            screen.print(Text(f"  {one.change:+g}  {one.sample_id}"))
