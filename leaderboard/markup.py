"""The board's own HTML: tables and notes. Every text from outside is escaped here, and isolated from its neighbours'
direction, so that a name can neither run nor disguise anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from audiometry.leaderboard.alignment import ALIGNMENT_STYLE
from audiometry.leaderboard.board import format_interval, format_rtfx, format_value, records
from audiometry.leaderboard.figures import SELF_REPORTED, is_reported, short_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ICON",
    "LOGO",
    "STYLE",
    "callout",
    "citation",
    "heading",
    "notes_html",
    "origin_html",
    "ranking_table",
    "reported_html",
    "slice_table",
    "tiles",
    "word",
]

LINE = (
    '<g fill="none" stroke="#1b8fce" stroke-width="3" stroke-linecap="round" stroke-linejoin="round">'
    '<path d="M4 7h6l6 5 6 2 6 11"/></g><g fill="#1b8fce"><circle cx="4" cy="7" r="3"/><circle cx="16" cy="12" r="3"/>'
    '<circle cx="28" cy="25" r="3"/></g>'
)

ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{LINE}</svg>'
"""An audiogram's falling line."""

LOGO = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 176 32" width="176" height="32">{LINE}<text x="42" y="23" '
    'font-family="sans-serif" font-size="21" font-weight="700" fill="#1b8fce">Audiometry</text></svg>'
)
"""The line, and the name."""

STYLE = (
    """
.block-container { max-width: 1180px; padding-top: 3.4rem; padding-bottom: 3rem; }
.am-head h1 { font-size: 2rem; padding: 0; margin: 0; letter-spacing: -.01em; }
.am-head p { margin: .35rem 0 0; font-size: 1.02rem; max-width: 60rem; opacity: .86; }
.am-muted { opacity: .72; font-size: .88rem; margin: .2rem 0; }
.am-callout { border-left: .28rem solid #b07a00; background: rgba(230, 159, 0, .13); border-radius: .3rem;
  padding: .6rem .9rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
.am-callout.am-info { border-color: #1b8fce; background: rgba(27, 143, 206, .11); }
.am-callout.am-error { border-color: #d55e00; background: rgba(213, 94, 0, .12); }
.am-callout p { margin: .2rem 0; } .am-callout code { font-size: .92em; }
.am-scroll { overflow-x: auto; }
.am-table { width: 100%; border-collapse: collapse; font-size: .98rem; font-variant-numeric: tabular-nums; border: 0; }
.am-table caption { text-align: left; caption-side: bottom; padding-top: .5rem; opacity: .72; font-size: .86rem; }
.am-table th, .am-table td { border: 0; border-bottom: 1px solid rgba(128, 128, 128, .25); padding: .45rem .7rem;
  vertical-align: baseline; text-align: right; }
.am-table thead th { font-size: .8rem; font-weight: 600; opacity: .75; white-space: nowrap;
  border-bottom: 2px solid rgba(128, 128, 128, .4); }
.am-table .am-left { text-align: left; }
.am-table tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 8rem; }
.am-table th a { color: inherit; text-decoration: underline; text-decoration-color: rgba(27, 143, 206, .6);
  text-underline-offset: 3px; }
.am-table tbody tr:hover { background: rgba(27, 143, 206, .07); }
.am-group th { text-align: left !important; font-size: .8rem; opacity: .8; padding-top: 1.1rem; font-weight: 600; }
.am-apart td, .am-apart th { opacity: .82; }
.am-rank { font-weight: 700; font-size: 1.05rem; white-space: nowrap; }
.am-value { font-weight: 700; white-space: nowrap; } .am-interval { white-space: nowrap; opacity: .78; }
.am-chips { display: flex; flex-wrap: wrap; gap: .25rem; }
.am-chip { border: 1px solid rgba(176, 122, 0, .65); background: rgba(230, 159, 0, .12); border-radius: .7rem;
  padding: .02rem .55rem; font-size: .8rem; text-align: left; font-weight: 400; }
.am-chip.am-grey { border-color: rgba(128, 128, 128, .5); background: rgba(128, 128, 128, .12); }
.am-tiles { display: flex; flex-wrap: wrap; gap: .5rem; }
.am-tile { border: 1px solid rgba(128, 128, 128, .28); border-radius: .5rem; padding: .35rem .8rem; min-width: 5.2rem; }
.am-tile b { display: block; font-size: 1.15rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.am-tile span { font-size: .8rem; opacity: .75; }
.am-text { border: 1px solid rgba(128, 128, 128, .25); border-radius: .4rem; padding: .45rem .7rem;
  margin: .15rem 0 .6rem; overflow-wrap: anywhere; white-space: pre-wrap; min-height: 2.3rem; }
.am-origin { white-space: nowrap; font-size: .86rem; } .am-origin b { font-weight: 700; margin-right: .2rem; }
.am-table td.am-wide { min-width: 11rem; }
.am-cite { font-size: .88rem; opacity: .86; overflow-wrap: anywhere; margin: .2rem 0; }
.am-label, h2.am-label { font-size: .84rem; opacity: .78; font-weight: 600; padding: 0; margin: 0; letter-spacing: 0; }
h2.am-label { margin-top: .7rem; }
@media (max-width: 640px) {
  .am-head h1 { font-size: 1.6rem; }
  .am-table thead { display: block; position: absolute; clip-path: inset(50%); height: 1px; width: 1px;
    overflow: hidden; }
  .am-table { display: flex; flex-direction: column; } .am-table caption { order: 9; }
  .am-table tbody, .am-table tr, .am-table caption { display: block; }
  .am-table tbody tr { display: flex; flex-wrap: wrap; align-items: baseline; gap: .15rem .9rem; padding: .6rem 0;
    border-bottom: 1px solid rgba(128, 128, 128, .3); }
  .am-table td, .am-table th { border: 0; padding: 0; text-align: left; }
  .am-table td[data-name]::before { content: attr(data-name) " "; opacity: .7; font-size: .8rem; font-weight: 400; }
  .am-table .am-name { flex: 1 1 70%; min-width: 0; } .am-table .am-wide { flex: 1 1 100%; }
  .am-table td.am-none { display: none; }
}
"""
    + ALIGNMENT_STYLE
)
"""CSS for everything here. Text has the page's own colour; grounds are thin, for light and dark."""

SAMPLES_PAGE = "samples"

ORIGINS = {
    "verified": ("✓", "submitted, and run by a worker of this board"),
    SELF_REPORTED: ("?", "imported: run and reported by somebody else"),
    "local": ("⌂", "run by whoever owns this store"),
}
"""A sign before each origin, so that it is not told by a colour, and what it means."""


def word(text: str) -> str:
    """A text from outside, safe in HTML."""
    return f"<bdi>{escape(text)}</bdi>"


def heading(title: str, lead: str) -> str:
    """A page's title and the line under it."""
    return f'<header class="am-head"><h1>{escape(title)}</h1><p>{escape(lead)}</p></header>'


def callout(text: str, kind: str = "") -> str:
    """A note that must be seen: `kind` is empty (read with care), ``am-info`` or ``am-error``."""
    return f'<div class="am-callout {escape(kind)}" role="note"><p>{escape(text)}</p></div>'


def origin_html(origins: str) -> str:
    """Where a row's runs come from: ``local``, ``verified``, ``self-reported``, or several joined by semicolons.

    >>> origin_html("mine")
    '<span class="am-origin"><span title=""><b aria-hidden="true"></b><bdi>mine</bdi></span></span>'
    """
    marks = []
    for origin in origins.split("; "):
        sign, title = ORIGINS.get(origin, ("", ""))
        marks.append(f'<span title="{escape(title)}"><b aria-hidden="true">{sign}</b>{word(origin)}</span>')
    return f'<span class="am-origin">{", ".join(marks)}</span>'


def reported_html(origins: str) -> str:
    """What stands behind a model's name, or a number, that is self-reported; nothing behind any other.

    >>> reported_html("local")
    ''
    """
    return f" {origin_html(SELF_REPORTED)}" if is_reported(origins) else ""


def notes_html(notes: Iterable[str]) -> str:
    """Notes that qualify a number, to stand beside it."""
    chips = "".join(f'<span class="am-chip">{word(note)}</span>' for note in notes)
    return f'<span class="am-chips">{chips}</span>' if chips else ""


def citation(view: str, subject: str, newest: datetime | None, address: str) -> str:
    """One line that names what is seen, for a paper or a report: version, view, subject, date of the newest run.

    >>> print(citation("ranking", "wer", None, "http://x/?task=wer").split("<bdi>")[1])
    Audiometry leaderboard: ranking, wer. http://x/?task=wer</bdi></p>
    """
    dated = "" if newest is None or newest != newest else f", runs until {newest:%Y-%m-%d}"  # noqa: PLR0124  (NaT)
    said = f"Audiometry leaderboard: {view}, {short_name(subject, 80)}{dated}. {address}"
    return f'<h2 class="am-label">Cite as</h2><p class="am-cite">{word(said)}</p>'


def tiles(facts: Mapping[str, str]) -> str:
    """Small boxes, each a number over its name."""
    boxes = (f'<div class="am-tile"><b>{word(text)}</b><span>{word(name)}</span></div>' for name, text in facts.items())
    return f'<div class="am-tiles">{"".join(boxes)}</div>'


def ranking_table(board: pd.DataFrame, metric: str, link: Mapping[str, str | list[str]], caption: str) -> str:
    """The board as a table: ranked models, then unranked ones and controls, each under a line that says so.

    `link` is what a link to a model's samples carries beside the model (task, protocol, …).
    """
    head = ["Rank", "Model", metric, "95 % interval", "n", "Failed", "Empty", "Speed", "Origin", "Read with care"]
    titles = {"Speed": "Seconds of sound per second of work (RTFx), on the machine of its own run; higher is faster"}
    left = ("Model", "Origin", "Read with care")
    cells = "".join(
        f'<th scope="col"{_left(name in left)} title="{titles.get(name, "")}">{escape(name)}</th>' for name in head
    )
    groups = {
        "unranked": "Not ranked",
        "control": "Controls, never ranked: they show what the numbers mean when nothing, or everything, is heard",
    }
    body: list[str] = []
    for place in ("ranked", "unranked", "control"):
        rows = records(board[board["place"] == place])
        if rows and place in groups:
            body.append(f'<tr class="am-group"><th colspan="{len(head)}" scope="rowgroup">{groups[place]}</th></tr>')
        body += [_ranking_row(row, metric, link) for row in rows]
    return _table(cells, body, caption)


def slice_table(slices: pd.DataFrame, dimension: str, metric: str) -> str:
    """A metric in every group of a slice, model by model."""
    head = [dimension, "Model", metric, "95 % interval", "n", "Failed", "Read with care"]
    cells = "".join(
        f'<th scope="col"{_left(name in (dimension, "Model", "Read with care"))}>{word(name)}</th>' for name in head
    )
    body = [
        f'<tr><th scope="row" class="am-left">{word(row["group"])}</th>'
        f'<td class="am-left am-name" title="{escape(row["model"][:300])}">{word(short_name(row["model"], 60))}'
        f"{reported_html(row.get('origin', ''))}</td>"
        f"{_number_cells(row, metric)}{_count_cells(row, ('failed',))}"
        f'<td class="am-left am-wide">{notes_html(row["notes"])}</td></tr>'
        for row in records(slices)
    ]
    return _table(cells, body, "")


def _ranking_row(row: Mapping[str, Any], metric: str, link: Mapping[str, str | list[str]]) -> str:
    model = row["model"]
    target = f"{SAMPLES_PAGE}?{urlencode({**link, 'model': model})}" if len(model) <= 500 else SAMPLES_PAGE
    counts = [f"{row[name]} {name}" for name in ("refused", "unparsed") if row[name]]
    rank = escape(row["rank"]) or "–"
    speed = format_rtfx(None if row["place"] == "control" else row["rtfx"])  # a control does no work
    return (
        f"<tr{'' if row['place'] == 'ranked' else ' class=am-apart'}>"
        f'<td class="am-rank" data-name="Rank">{rank}</td>'
        f'<th scope="row" class="am-left am-name"><a href="{escape(target)}" title="{escape(model[:300])}">'
        f"{word(short_name(model, 60))}</a></th>"
        f"{_number_cells(row, metric)}{_count_cells(row, ('failed', 'empty'))}"
        f'<td class="am-interval" data-name="Speed">{speed}</td><td class="am-left">{origin_html(row["origin"])}</td>'
        f'<td class="am-left am-wide">{notes_html([*counts, *row["notes"]])}</td></tr>'
    )


def _number_cells(row: Mapping[str, Any], metric: str) -> str:
    value, interval = format_value(row["value"], row["unit"]), format_interval(row["low"], row["high"], row["unit"])
    return (
        f'<td class="am-value" data-name="{escape(metric)}">{escape(value)}</td>'
        f'<td class="am-interval">{escape(interval)}</td>'
    )


def _count_cells(row: Mapping[str, Any], names: Sequence[str]) -> str:
    cells = "".join(f'<td data-name="{name}">{row[name]:,}</td>' for name in names)
    return f'<td data-name="n">{row["n"]:,}</td>{cells}'


def _left(yes: bool) -> str:
    return ' class="am-left"' if yes else ""


def _table(head: str, body: Sequence[str], caption: str) -> str:
    last = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="am-scroll"><table class="am-table">{last}<thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )
