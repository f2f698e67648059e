"""Results as a table on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiometry.benchmark.types import Result

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "format_value", "print_results"]

PLAIN_WIDTH = 160


def console() -> Console:
    """Where tables are printed: as wide as the terminal, or wide enough not to fold where there is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def format_value(value: float | None, unit: str) -> str:
    """A value with its unit; fractions as per cent.

    >>> format_value(0.0684, "fraction"), format_value(None, "s"), format_value(3.21, "s")
    ('6.84 %', '–', '3.21 s')
    """
    if value is None:
        return "–"
    if unit == "fraction":
        return f"{100 * value:.2f} %"
    return f"{value:.3g} {unit}".rstrip()


def print_results(results: Sequence[Result], folder: Path) -> None:
    """Print one table a task: models by headline value, controls last, notes below."""
    from rich.table import Table
    from rich.text import Text

    screen = console()
    speeds = _speeds(folder)
    for task in dict.fromkeys(result.task for result in results):
        rows = [result for result in results if result.task == task and result.slice == "all"]
        metrics = list(dict.fromkeys(result.metric for result in rows))
        notes: dict[str, int] = {}
        table = Table(title=Text(f"{task} (95 % intervals)"), title_justify="left")
        for heading in ("model", *metrics, "n", "failed", "empty", "speed", "notes"):
            table.add_column(heading, justify="left" if heading in ("model", "notes") else "right")
        for model in _ranked(rows, metrics[0]):
            mine = {result.metric: result for result in rows if result.model == model}
            first = mine[metrics[0]]
            cells = [_cell(mine[metric]) for metric in metrics]
            marks = [str(notes.setdefault(note, len(notes) + 1)) for result in mine.values() for note in result.notes]
            name = f"{model} (control)" if first.control else model
            counts = [str(first.n), str(first.failed), str(first.empty)]
            speed = speeds.get((model, task))
            told = f"{speed:.1f} x" if speed and not first.control else ""
            table.add_row(*map(Text, [name, *cells, *counts, told, " ".join(dict.fromkeys(marks))]))
        screen.print(table)
        for note, number in notes.items():
            screen.print(Text(f"  {number}: {note}"))


def _ranked(rows: Sequence[Result], headline: str) -> list[str]:
    """Models from best to worst, controls after them."""

    def key(result: Result) -> tuple[bool, float]:
        value = float("inf") if result.value is None else result.value
        return result.control, value if result.direction == "lower" else -value

    return [result.model for result in sorted((r for r in rows if r.metric == headline), key=key)]


def _cell(result: Result) -> str:
    value = format_value(result.value, result.unit)
    if result.low is None or result.high is None:
        return value
    low, high = (format_value(bound, result.unit).removesuffix(" %") for bound in (result.low, result.high))
    return f"{value} [{low}, {high}]"


def _speeds(folder: Path) -> dict[tuple[str, str], float]:
    timings = json.loads((folder / "run.json").read_text(encoding="utf-8"))["timings"]
    return {(line["model"], line["task"]): line["rtfx"] for line in timings if line["rtfx"]}
