"""One model through time: its versions (fingerprints), its runs, and what each of them measured. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from audiometry.leaderboard.board import format_interval, format_value
from audiometry.leaderboard.figures import DARK, LIGHT, MARKERS

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["headline_history", "history_figure", "run_rows", "version_names"]


def version_names(history: pd.DataFrame) -> dict[str, str]:
    """A short name for each fingerprint, by its first run: ``v1`` the oldest.

    `history` is from `queries.history`, oldest first.
    """
    return {str(one): f"v{place}" for place, one in enumerate(dict.fromkeys(history["model_fingerprint"]), start=1)}


def headline_history(history: pd.DataFrame) -> pd.DataFrame:
    """The headline of each protocol in each run, oldest first, with `version`."""
    names = version_names(history)
    rows = history.drop_duplicates(["run", "protocol"])
    return rows.assign(version=[names[one] for one in rows["model_fingerprint"]]).reset_index(drop=True)


def run_rows(history: pd.DataFrame, documents: Mapping[str, Mapping[str, Any]], model: str) -> list[dict[str, Any]]:
    """What each run of a model took, newest first.

    A row: run, created, run_status, origin, version, tasks, n, failed, seconds and audio_seconds (this model's alone,
    None where they are not known), rtfx, usage (summed by name: cost, tokens), kwh, grams_co2e and models (those that
    the energy is of: the whole run's).
    """
    rows = []
    heads = headline_history(history)
    for run, part in heads.groupby("run", sort=False):
        document = documents.get(str(run), {})
        timings = [one for one in document.get("timings", ()) if one["model"] == model]
        usage: dict[str, float] = {}
        for timing in timings:
            for name, amount in (timing.get("usage") or {}).items():
                usage[name] = usage.get(name, 0.0) + amount
        energy = document.get("energy") or {}
        timed = part[part["seconds"].notna() & part["audio_seconds"].notna() & part["rtfx"].notna()]
        seconds, sound = float(timed["seconds"].sum()), float(timed["audio_seconds"].sum())
        rows.append({
            "run": str(run), "created": part["created"].iloc[0], "run_status": str(part["run_status"].iloc[0]),
            "origin": str(part["origin"].iloc[0]), "version": str(part["version"].iloc[0]), "tasks": len(part),
            "n": int(part["n"].sum()), "failed": int(part["failed"].sum()),
            "seconds": seconds if len(timed) else None, "audio_seconds": sound if len(timed) else None,
            "rtfx": sound / seconds if seconds > 0 else None, "usage": usage, "kwh": energy.get("kwh"),
            "grams_co2e": energy.get("grams_co2e"), "models": len(document.get("models", ())),
        })  # fmt: skip
    return rows[::-1]


def history_figure(rows: pd.DataFrame, *, title: str, dark: bool = False) -> go.Figure:
    """One protocol's headline run by run, with its 95 % intervals; each version has its own mark and colour.

    `rows` is from `headline_history`, of one protocol.
    """
    import plotly.graph_objects as go

    ink, faint = ("#e8eaed", "rgba(232,234,237,.16)") if dark else ("#1f2933", "rgba(31,41,51,.13)")
    scale = 100.0 if len(rows) and rows["unit"].iloc[0] == "fraction" else 1.0
    known = rows[rows["value"].notna()].reset_index(drop=True)
    figure = go.Figure()
    for place, version in enumerate(dict.fromkeys(known["version"])):
        part = known[known["version"] == version]
        figure.add_trace(_marks(part, scale, version, place, dark=dark))
    labels = [f"{when:%Y-%m-%d}<br>{when:%H:%M}" for when in known["created"]]
    axis: dict[str, Any] = {"gridcolor": faint, "zerolinecolor": faint, "color": ink, "fixedrange": True}
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": ink, "size": 14}, height=320,
        margin={"l": 10, "r": 24, "t": 36, "b": 48}, showlegend=True,
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
        yaxis=axis | {"title": {"text": escape(title)}, "ticksuffix": " %" if scale == 100 else "",
                      "rangemode": "tozero", "automargin": True},
        xaxis=axis | {"tickvals": _spread(len(known)), "ticktext": [labels[i] for i in _spread(len(known))],
                      "range": [-0.6, max(len(known), 1) - 0.4]},
    )  # fmt: skip
    return figure


def _spread(number: int, most: int = 8) -> Sequence[int]:
    """At most `most` places from the first to the last."""
    step = max(1, -(-number // most))
    return list(range(0, number, step))


def _marks(part: pd.DataFrame, scale: float, version: str, place: int, *, dark: bool) -> go.Scatter:
    import plotly.graph_objects as go

    colours = DARK if dark else LIGHT
    colour = colours[place % len(colours)]
    low, high = part["low"].fillna(part["value"]), part["high"].fillna(part["value"])
    hover = [
        f"{escape(str(row['run']))}<br>{escape(format_value(row['value'], row['unit']))} "
        f"{escape(format_interval(row['low'], row['high'], row['unit']))}<br>n = {row['n']}, failed {row['failed']}"
        for row in part.to_dict("records")
    ]
    return go.Scatter(
        x=list(part.index), y=list(scale * part["value"]), name=version, mode="markers", hovertext=hover,
        hoverinfo="text",
        marker={"symbol": MARKERS[place % len(MARKERS)], "size": 11, "color": colour},
        error_y={
            "type": "data", "symmetric": False, "array": list(scale * (high - part["value"])),
            "arrayminus": list(scale * (part["value"] - low)), "color": colour, "thickness": 2, "width": 5,
        },
    )  # fmt: skip
