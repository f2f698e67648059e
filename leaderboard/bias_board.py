"""Who fares worse: the gaps between groups of one model's samples, from the evidence that its run kept. No page.

The numbers are those of `audiometry gaps` (`audiometry.tasks.gaps`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiometry.benchmark.errors import DataError
from audiometry.leaderboard.figures import DARK, LIGHT, ROW, ground, short_name

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["GAP_COLUMNS", "base_metric", "find_gaps", "gap_figure", "group_rows", "says"]

GAP_COLUMNS = (
    "by", "metric", "worst", "best", "gap", "low", "high", "ratio", "ratio_low", "ratio_high", "p", "p_adjusted",
    "groups", "suppressed", "notes",
)  # fmt: skip
"""Columns of `find_gaps`. `groups` is how many were compared; `suppressed` names those with too few samples."""

NOT_COMPARED = ("gap", "worst")
"""Metrics whose names start so are themselves of groups; what is compared is the next one."""

LEVEL = 0.05


def base_metric(metrics: Sequence[str]) -> str:
    """The metric that groups are compared by: a task's first that is not itself a gap or a worst group.

    >>> base_metric(["worst_group_wer", "wer", "gap_gender"])
    'wer'

    Raises DataError if there is none.
    """
    for metric in metrics:
        if not metric.startswith(NOT_COMPARED):
            return metric
    raise DataError("every metric of this task is a gap or a worst group; none is left to compare groups by")


def find_gaps(folder: str, model: str, task: str, *, seed: int = 0) -> list[dict[str, Any]]:
    """The gap of every slice of one model on one task, as rows of `GAP_COLUMNS`, in the order of the slices' names.

    Takes seconds: intervals are by 2,000 resamples, tests by 2,000 permutations. The same run gives the same numbers.

    Raises DataError if the folder is gone or no slice is a comparison, UserError if the task cannot be made here or is
    another version today.
    """
    from audiometry.benchmark.compare import SEPARATOR, open_side
    from audiometry.tasks.gaps import as_row, run_gaps

    if not (Path(folder) / "run.json").is_file():
        raise DataError(f"the run's folder {folder} is not here; put it back, or run it again")
    side = open_side(f"{folder}{SEPARATOR}{model}")
    document = {**side.document, "tasks": [side.task(task)]}
    gaps = run_gaps(replace(side, document=document), seed=seed)[task]
    rows = [as_row(gap) for gap in gaps]
    return [{name: len(row["values"]) if name == "groups" else row[name] for name in GAP_COLUMNS} for row in rows]


def says(row: Mapping[str, Any]) -> str:
    """What a gap's test says, at 5 % after the correction over all slices.

    >>> says({"p_adjusted": 0.003}), says({"p_adjusted": 0.4})
    ('a difference', 'no difference shown')
    """
    return "a difference" if row["p_adjusted"] <= LEVEL else "no difference shown"


def group_rows(results: pd.DataFrame, dimension: str, model: str) -> pd.DataFrame:
    """Each group of a slice with its value, 95 % interval and n, as `board.slice_rows` gives them, worst first.

    Groups without a value (too few samples) come last.
    """
    from audiometry.leaderboard.board import slice_rows

    rows = slice_rows(results, dimension, [model])
    ascending = len(rows) > 0 and rows["direction"].iloc[0] == "higher"
    return rows.sort_values("value", ascending=ascending, kind="stable", na_position="last").reset_index(drop=True)


def gap_figure(rows: Sequence[Mapping[str, Any]], unit: str, *, title: str, dark: bool = False) -> go.Figure:
    """Each slice's gap with its interval: filled where the corrected test shows a difference, hollow where not."""
    import plotly.graph_objects as go

    colours, back = (DARK if dark else LIGHT), ground(dark)
    scale = 100.0 if unit == "fraction" else 1.0
    figure = go.Figure()
    for shown, name, symbol, colour in (
        (True, "difference shown (p ≤ 0.05, corrected)", "circle", colours[1]),
        (False, "no difference shown", "circle-open", colours[0]),
    ):
        part = [(at, row) for at, row in enumerate(reversed(rows)) if (row["p_adjusted"] <= LEVEL) == shown]
        if not part:
            continue
        figure.add_trace(
            go.Scatter(
                x=[scale * row["gap"] for _, row in part], y=[at for at, _ in part], name=name, mode="markers",
                marker={"symbol": symbol, "size": 12, "color": colour, "line": {"width": 2, "color": colour}},
                error_x={
                    "type": "data", "symmetric": False, "color": colour, "thickness": 2, "width": 6,
                    "array": [scale * (row["high"] - row["gap"]) for _, row in part],
                    "arrayminus": [scale * (row["gap"] - row["low"]) for _, row in part],
                },
                hovertext=[f"<b>{escape(row['by'])}</b><br>{escape(says(row))}" for _, row in part], hoverinfo="text",
            )
        )  # fmt: skip
    axis: dict[str, Any] = {"gridcolor": back["faint"], "zerolinecolor": back["ink"], "color": back["ink"]}
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": back["ink"], "size": 14},
        height=130 + ROW * len(rows), margin={"l": 10, "r": 24, "t": 36, "b": 48}, showlegend=True,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
        xaxis=axis | {"title": {"text": escape(title), "font": {"size": 14}},
                      "ticksuffix": " %" if unit == "fraction" else "",
                      "rangemode": "tozero", "fixedrange": True},
        yaxis=axis | {"tickvals": list(range(len(rows))), "zeroline": False, "automargin": True, "fixedrange": True,
                      "ticktext": [escape(short_name(row["by"], 26)) for row in reversed(rows)],
                      "range": [-0.7, len(rows) - 0.3], "ticks": "outside", "ticklen": 10,
                      "tickcolor": "rgba(0,0,0,0)"},
    )  # fmt: skip
    return figure
