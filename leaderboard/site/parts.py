"""What pages of the static board are made of: links to models, drawn intervals, tables, citations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from audiometry.leaderboard.figures import short_name
from audiometry.leaderboard.markup import reported_html, word
from audiometry.leaderboard.site.look import slug

__all__ = ["cite", "day", "line", "model_link", "model_path", "note", "plain", "table"]


def model_path(model: str) -> str:
    """A model's page, from the site's root."""
    return f"models/{slug(model)}.html"


def line(row: Mapping[str, Any], span: tuple[float, float]) -> str:
    """The interval and the number as lines, over a scale of 100; what lies beyond it stands at its edge."""
    if math.isnan(row["value"]):
        return ""
    at = [
        min(100.0, max(0.0, 100 * (x - span[0]) / (span[1] - span[0])))
        for x in (row["value"], *(row[name] if not math.isnan(row[name]) else row["value"] for name in ("low", "high")))
    ]
    value, low, high = (f"{x:.2f}" for x in at)
    return (
        '<svg class="site-span" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<line x1="{low}" x2="{high}" y1="5" y2="5"/>'
        f'<line class="site-point" x1="{value}" x2="{value}" y1="1" y2="9"/>'
        "</svg>"
    )


def plain(value: float | None) -> str:
    """A number for the script that sorts; nothing where there is none."""
    return "" if value is None or math.isnan(value) else repr(float(value))


def model_link(model: str, depth: int, origin: str = "") -> str:
    """A link to a model's page, and behind it whether the numbers beside it are self-reported, by their `origin`."""
    return (
        f'<a href="{"../" * depth}{model_path(model)}" title="{escape(model[:300])}">{word(short_name(model, 60))}</a>'
        + reported_html(origin)
    )


def note(newest: str) -> str:
    """The foot of a page."""
    return f"Last run: {escape(newest)}. Made with audiometry export." if newest else "Made with audiometry export."


def day(moment: Any) -> str:
    """The day of a moment."""
    return str(moment.strftime("%Y-%m-%d"))


def table(head: Sequence[str], bodies: Sequence[str], caption: str, left: Sequence[str], *, whole: bool = False) -> str:
    """A table that the script may sort; each of `bodies` is a row, or with `whole` the rows of one part."""
    cells = "".join(f'<th scope="col"{" class=am-left" if name in left else ""}>{word(name)}</th>' for name in head)
    parts = [body for body in bodies if body] if whole else ["".join(bodies)]
    last = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="am-scroll"><table class="am-table" data-sort>{last}<thead><tr>{cells}</tr></thead>'
        + "".join(f"<tbody>{part}</tbody>" for part in parts)
        + "</table></div>"
    )


def cite(said: str) -> str:
    """How to cite a page, in one line, under its own heading."""
    return f'<h2>Cite</h2><p class="am-text">{word(said)}</p>'
