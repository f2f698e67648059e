"""Small marks in the cells of tables: an interval on a line, a link in a row's name."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from audiometry.leaderboard.figures import short_name
from audiometry.leaderboard.markup import reported_html, word

__all__ = ["MARKS_STYLE", "link_cell", "mark_cell", "page_link", "span_html"]

LONGEST_LINK = 500
"""Characters of a name that a link carries; a longer one has no link."""

MARKS_STYLE = """
.am-span { position: relative; display: inline-block; width: 100%; min-width: 7rem; height: .8rem;
  vertical-align: middle; background: linear-gradient(rgba(128,128,128,.35), rgba(128,128,128,.35)) center/100% 1px
  no-repeat; }
.am-span i { position: absolute; top: .25rem; height: .3rem; min-width: 2px; border-radius: .15rem;
  background: #1b8fce; opacity: .6; }
.am-span b { position: absolute; top: .1rem; width: .6rem; height: .6rem; margin-left: -.3rem; border-radius: 50%;
  background: #1b8fce; }
"""
"""CSS of the marks."""


def mark_cell(html: str, name: str, *, left: bool = False, kind: str = "") -> str:
    """A cell that holds HTML of our own; `name` is its column's."""
    classes = " ".join(part for part in ("am-left" if left else "", kind) if part)
    shown = f' class="{escape(classes)}"' if classes else ""
    return f'<td{shown} data-name="{escape(name)}">{html}</td>'


def page_link(page: str, name: str, text: str | None = None, *, origin: str = "", **parameters: str) -> str:
    """`name`, a text from outside, as a link to a page of it (parameter ``model``); too long a name has none.

    Behind it stands whether its numbers are self-reported, by their `origin`.
    """
    mark = reported_html(origin)
    shown = word(short_name(name if text is None else text, 60))
    if len(name) > LONGEST_LINK:
        return shown + mark
    address = f"{page}?{urlencode({'model': name, **parameters})}"
    return f'<a href="{escape(address)}" title="{escape(name[:300])}">{shown}</a>{mark}'


def link_cell(page: str, name: str, **parameters: str) -> str:
    """The cell that names its row, as a link."""
    return f'<th scope="row" class="am-left am-name">{page_link(page, name, None, **parameters)}</th>'


def span_html(low: float, high: float, point: float, ends: tuple[float, float]) -> str:
    """A point and its interval on a line between two ends; the numbers stand beside it, so screen readers skip it."""
    lowest, highest = ends
    width = highest - lowest or 1.0

    def at(value: float) -> float:
        return min(100.0, max(0.0, 100 * (value - lowest) / width))

    bar = f"left:{at(low):.1f}%;width:{at(high) - at(low):.1f}%"
    return f'<span class="am-span" aria-hidden="true"><i style="{bar}"></i><b style="left:{at(point):.1f}%"></b></span>'
