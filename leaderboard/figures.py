"""Plots of the board: numbers with their intervals, readable without colour, on light and dark.

Names are from outside: Plotly reads a little HTML in texts, so they are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from audiometry.leaderboard.board import format_interval, format_value

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = [
    "DARK",
    "LIGHT",
    "MARKERS",
    "SELF_REPORTED",
    "ground",
    "is_reported",
    "marked_name",
    "ranking_figure",
    "short_name",
    "slice_figure",
]

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b07a00", "#56b4e9", "#5a5a5a")
DARK = ("#56b4e9", "#ff8c42", "#2fc79a", "#e5a3c6", "#e6b800", "#9ecae9", "#b0b0b0")
"""Okabe and Ito's palette, told apart by all common kinds of colour vision, darkened or lightened for its ground."""

MARKERS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star")

ROW = 46
"""Pixels of height for one line of a plot."""


def short_name(name: str, longest: int = 34) -> str:
    """A name cut in the middle, where its beginning and its settings stay readable.

    >>> short_name("whisper:model=./a-rather-long-path/checkpoint,beam=5", 20)
    'whisper:mo…nt,beam=5'
    """
    if len(name) <= longest:
        return name
    head = (longest - 1 + 1) // 2
    return f"{name[:head]}…{name[len(name) - (longest - 1 - head) :]}"


SELF_REPORTED = "self-reported"
"""The origin of imported runs, and the word that marks their numbers wherever they are shown."""


def is_reported(origins: str) -> bool:
    """Whether any of `origins`, joined by semicolons, is self-reported.

    >>> is_reported("local; self-reported"), is_reported("verified")
    (True, False)
    """
    return SELF_REPORTED in origins.split("; ")


def marked_name(name: str, origins: str, longest: int = 34) -> str:
    """`short_name` with a word behind it where the model's numbers are self-reported.

    >>> marked_name("mine", "self-reported"), marked_name("mine", "local")
    ('mine (self-reported)', 'mine')
    """
    return short_name(name, longest) + (f" ({SELF_REPORTED})" if is_reported(origins) else "")


def ground(dark: bool) -> dict[str, str]:
    """Colours of texts (`ink`) and lines behind the numbers (`faint`) on a light or a dark page."""
    if dark:
        return {"ink": "#e8eaed", "faint": "rgba(232,234,237,.16)"}
    return {"ink": "#1f2933", "faint": "rgba(31,41,51,.13)"}


def ranking_figure(board: pd.DataFrame, *, title: str, dark: bool = False) -> go.Figure:
    """Each model's value with its 95 % interval, in the board's order from the top; controls are hollow.

    `board` comes from `audiometry.leaderboard.board.ranking`.
    """
    import plotly.graph_objects as go

    colours = DARK if dark else LIGHT
    rows = board[board["value"].notna()].reset_index(drop=True)
    figure = go.Figure()
    styles = {"ranked": ("ranked", "circle", colours[0]), "control": ("control", "diamond-open", colours[-1])}
    styles["unranked"] = ("not ranked", "square-open", colours[1])
    for place, (name, symbol, colour) in styles.items():
        part = rows[rows["place"] == place]
        if len(part):
            heights = [len(rows) - 1 - int(i) for i in part.index]
            figure.add_trace(_points(part, heights, name=name, symbol=symbol, colour=colour, labels=True))
    origins = rows.get("origin", [""] * len(rows))
    names = [marked_name(name, origin, 26) for name, origin in zip(rows["model"], origins, strict=True)]
    _dress(figure, rows, names, title=title, dark=dark)
    return figure


def slice_figure(slices: pd.DataFrame, models: Sequence[str], *, title: str, dark: bool = False) -> go.Figure:
    """Each model's value with its 95 % interval in every group of a slice, models beside each other.

    `slices` comes from `audiometry.leaderboard.board.slice_rows`; `models` gives the order of colours.
    """
    import plotly.graph_objects as go

    colours = DARK if dark else LIGHT
    groups = list(dict.fromkeys(slices["group"]))
    figure = go.Figure()
    for place, model in enumerate(models):
        part = slices[(slices["model"] == model) & slices["value"].notna()]
        step = (place - (len(models) - 1) / 2) * min(0.18, 0.7 / max(len(models), 1))
        heights = [len(groups) - 1 - groups.index(group) - step for group in part["group"]]
        style = {"symbol": MARKERS[place % len(MARKERS)], "colour": colours[place % len(colours)]}
        figure.add_trace(_points(part, heights, name=escape(marked_name(model, _origins(part))), labels=False, **style))
    counts = {group: int(slices.loc[slices["group"] == group, "n"].max()) for group in groups}
    _dress(
        figure, slices, [short_name(f"{group} (n = {counts[group]})", 26) for group in groups], title=title, dark=dark
    )
    # Names stand above each other on a narrow page.
    figure.update_layout(height=150 + 14 * len(models) + len(groups) * max(ROW, 22 * len(models)), showlegend=True)
    return figure


def _origins(rows: pd.DataFrame) -> str:
    return "; ".join(rows["origin"].unique()) if "origin" in rows else ""


def _points(
    part: pd.DataFrame, heights: Sequence[float], *, name: str, symbol: str, colour: str, labels: bool
) -> go.Scatter:
    import plotly.graph_objects as go

    scale = _scale(part)
    low, high = part["low"].fillna(part["value"]), part["high"].fillna(part["value"])
    hover = [
        f"<b>{escape(marked_name(row['model'], row.get('origin', ''), 80))}</b><br>"
        f"{escape(format_value(row['value'], row['unit']))} "
        f"{escape(format_interval(row['low'], row['high'], row['unit']))}<br>n = {row['n']}, failed {row['failed']}"
        for row in part.to_dict("records")
    ]
    return go.Scatter(
        x=list(scale * part["value"]),
        y=list(heights),
        name=name,
        mode="markers+text" if labels else "markers",
        text=[escape(format_value(v, u)) for v, u in zip(part["value"], part["unit"], strict=True)],
        textposition="top center",
        hovertext=hover,
        hoverinfo="text",
        cliponaxis=False,
        marker={"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2, "color": colour}},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": list(scale * (high - part["value"])),
            "arrayminus": list(scale * (part["value"] - low)),
            "color": colour,
            "thickness": 2,
            "width": 6,
        },
    )


def _dress(figure: go.Figure, rows: pd.DataFrame, names: Sequence[str], *, title: str, dark: bool) -> None:
    """Axes, names and margins. Names are put at numbers, because two names may be cut to the same text."""
    ink, faint = ground(dark).values()
    unit = rows["unit"].iloc[0] if len(rows) else ""
    axis: dict[str, Any] = {"gridcolor": faint, "zerolinecolor": faint, "color": ink, "fixedrange": True}
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": ink, "size": 14},
        height=120 + ROW * max(len(names), 1),
        margin={"l": 10, "r": 24, "t": 36, "b": 48},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
        hoverlabel={"font": {"size": 13}},
        xaxis=axis
        | {
            "title": {"text": escape(title), "font": {"size": 14}},
            "ticksuffix": " %" if unit == "fraction" else "",
            "range": _span(rows),
        },
        yaxis=axis
        | {
            "tickvals": list(range(len(names))),
            "ticktext": [escape(name) for name in reversed(names)],
            "range": [-0.7, len(names) - 0.3],
            "showgrid": True,
            "zeroline": False,
            "automargin": True,
            "ticks": "outside",
            "ticklen": 10,
            "tickcolor": "rgba(0,0,0,0)",
        },
    )


def _span(rows: pd.DataFrame) -> list[float]:
    """From zero, or the lowest bound where that is below it, to the highest bound, with room for the marks."""
    scale = _scale(rows)
    bounds = scale * rows[["value", "low", "high"]]
    lowest, highest = min(0.0, float(bounds.min().min())), max(0.0, float(bounds.max().max()))
    room = 0.06 * (highest - lowest) or 1.0
    return [lowest - room / 2, highest + room]


def _scale(rows: pd.DataFrame) -> float:
    return 100.0 if len(rows) and rows["unit"].iloc[0] == "fraction" else 1.0
