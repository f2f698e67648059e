"""Numbers of many models as a table of shades: models by tasks, and models by the groups of a slice.

A stronger blue is better: one hue, told apart by its lightness, with the number in each cell.
Pure functions over frames; no page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from audiometry.benchmark.types import FloatArray
from audiometry.leaderboard.board import format_interval, format_value
from audiometry.leaderboard.figures import SELF_REPORTED, is_reported, short_name
from audiometry.leaderboard.marks import page_link
from audiometry.leaderboard.markup import word

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HEATMAP_STYLE", "STEPS", "Column", "heat_cells", "heatmap_html", "legend_html", "shades"]

STEPS = 8
"""Shades that a cell may have, 0 the worst."""

MIDDLE = (5, 95)
"""Percentiles between which shades are spread: one hopeless model must not make all others look alike."""

HEATMAP_STYLE = (
    """
.am-heat { border-collapse: separate; border-spacing: 2px; font-size: .86rem; font-variant-numeric: tabular-nums; }
.am-heat caption { text-align: left; caption-side: bottom; padding-top: .5rem; opacity: .72; font-size: .86rem;
  position: sticky; left: 0; max-width: min(60rem, 86vw); }
.am-heat th, .am-heat td { border: 0; padding: .3rem .45rem; text-align: right; white-space: nowrap; }
.am-heat tbody th { position: sticky; left: 0; z-index: 1; text-align: left; font-weight: 600; max-width: 15rem;
  overflow: hidden; text-overflow: ellipsis; background: var(--am-ground, #fff); }
.am-heat thead th { vertical-align: bottom; font-size: .8rem; font-weight: 600; }
.am-heat thead span { display: inline-block; writing-mode: vertical-rl; transform: rotate(180deg); max-height: 15rem;
  text-align: left; overflow: hidden; text-overflow: ellipsis; }
.am-heat small { display: block; opacity: .72; font-weight: 400; }
.am-heat td.am-top { font-weight: 700; box-shadow: inset 0 0 0 2px currentColor; border-radius: .2rem; }
.am-heat td.am-missing { opacity: .5; }
.am-heat th a { color: inherit; }
.am-shades { display: flex; flex-wrap: wrap; gap: .3rem .8rem; align-items: center; font-size: .86rem; }
.am-shades i { display: inline-block; width: 1.3rem; height: 1rem; }
@media (max-width: 640px) { .am-heat tbody th { max-width: 7.5rem; } .am-heat th, .am-heat td { padding: .25rem; } }
"""
    + "".join(
        f".am-h{step} {{ background: rgba(0, 125, 200, {0.03 + 0.62 * step / (STEPS - 1):.2f}); }}\n"
        for step in range(STEPS)
    )
)  # fmt: skip
"""CSS of the table. The ground of its first column is the page's, given as ``--am-ground``."""


@dataclass(frozen=True)
class Column:
    """A column of the table: its key in the cells, what stands above it, and below that in small."""

    key: str
    title: str
    note: str = ""


def shades(values: FloatArray, direction: str) -> list[int | None]:
    """The shade of each value, 0 for the worst to `STEPS` - 1 for the best; None where there is no value.

    Spread between the 5th and the 95th percentile of the values; all equal ones have the best shade.

    >>> shades(np.array([0.05, 0.10, 0.40, np.nan]), "lower")
    [7, 6, 0, None]
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return [None] * len(values)
    low, high = np.percentile(known, MIDDLE) if len(known) > 20 else (known.min(), known.max())
    width = high - low
    place = np.ones(len(values)) if width <= 0 else np.clip((values - low) / width, 0.0, 1.0)
    if direction == "lower" and width > 0:
        place = 1.0 - place
    return [round(float(p) * (STEPS - 1)) if np.isfinite(v) else None for p, v in zip(place, values, strict=True)]


def heat_cells(rows: pd.DataFrame, key: str, *, together: bool = False) -> pd.DataFrame:
    """`rows` with two more columns: `shade`, and `top`, whether the data do not tell the cell from its column's best.

    `rows` has model, value, low, high, direction and the column `key`, one row a cell. Shades are spread within each
    column, or over all of them `together` where they have one unit and direction. A cell is `top` when its 95 %
    interval meets that of the best value of its column (the best itself always is).
    """
    import pandas as pd

    if rows.empty:
        return rows.assign(shade=pd.Series(dtype="Int64"), top=pd.Series(dtype=bool))
    parts = []
    whole = shades(rows["value"].to_numpy(np.float64), str(rows["direction"].iloc[0])) if together else []
    by_row = dict(zip(rows.index, whole, strict=True)) if together else {}
    for _, part in rows.groupby(key, sort=False, observed=True):
        direction = str(part["direction"].iloc[0])
        values = part["value"].to_numpy(np.float64)
        shade = [by_row[i] for i in part.index] if together else shades(values, direction)
        parts.append(part.assign(shade=pd.array(shade, dtype="Int64"), top=_top(part, direction)))
    return pd.concat(parts).loc[rows.index]


def _top(part: pd.DataFrame, direction: str) -> list[bool]:
    values, low, high = (part[name].to_numpy(np.float64) for name in ("value", "low", "high"))
    if not np.isfinite(values).any():
        return [False] * len(part)
    best = int(np.nanargmin(values) if direction == "lower" else np.nanargmax(values))
    meets = (low <= high[best]) if direction == "lower" else (high >= low[best])
    meets[best] = True
    return [bool(yes) for yes in meets & np.isfinite(values)]


def heatmap_html(
    cells: pd.DataFrame, models: Sequence[str], columns: Sequence[Column], key: str, caption: str, page: str
) -> str:
    """The table: a row a model, a column each of `columns`, each cell with its number; models link to `page`.

    `cells` comes from `heat_cells`. A cell that is not there shows a dash. Percentages stand without their sign.
    """
    known = {(str(row["model"]), str(row[key])): row for row in cells.to_dict("records")}
    head = "".join(
        f'<th scope="col" title="{escape(column.title[:300])}"><span>{word(short_name(column.title, 34))}'
        f"<small>{escape(column.note)}</small></span></th>"
        for column in columns
    )
    body = []
    for model in models:
        row = "".join(_cell(known.get((model, column.key)), column) for column in columns)
        mine = (str(known[model, column.key].get("origin", "")) for column in columns if (model, column.key) in known)
        name = page_link(page, model, origin="; ".join(mine))
        body.append(f'<tr><th scope="row">{name}</th>{row}</tr>')
    return (
        f'<div class="am-scroll" tabindex="0" role="region" aria-label="Heat map"><table class="am-heat">'
        f'<caption>{escape(caption)}</caption><thead><tr><th scope="col">Model</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(row: Mapping[Any, Any] | None, column: Column) -> str:
    if row is None or row["value"] is None or not np.isfinite(row["value"]):
        return '<td class="am-missing">–</td>'
    unit = str(row["unit"])
    text = format_value(row["value"], unit).removesuffix(" %")
    told = f"{column.title}: {format_value(row['value'], unit)} {format_interval(row['low'], row['high'], unit)}"
    told += f", n = {row['n']}, failed {row['failed']}" + (", not told from the best" if row["top"] else "")
    reported = is_reported(str(row.get("origin", "")))
    told += f", {SELF_REPORTED}" if reported else ""
    mark = f' <abbr title="{SELF_REPORTED}">?</abbr>' if reported else ""
    top = " am-top" if row["top"] else ""
    return f'<td class="am-h{row["shade"]}{top}" title="{escape(told[:400])}">{escape(text)}{mark}</td>'


def legend_html() -> str:
    """What shades and frames mean."""
    boxes = "".join(f'<i class="am-h{step}"></i>' for step in range(STEPS))
    return (
        f'<div class="am-shades"><span>worse</span><span aria-hidden="true">{boxes}</span><span>better</span>'
        '<span><b style="box-shadow: inset 0 0 0 2px currentColor; padding: 0 .4rem">1.0</b> its interval meets that '
        "of the column's best</span><span>– not measured</span>"
        "<span>? self-reported: nobody here has seen it happen</span></div>"
    )
