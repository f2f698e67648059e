"""Tables of pages beside the ranking, cell by cell. Every text from outside goes through `markup.word`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from audiometry.leaderboard.figures import short_name
from audiometry.leaderboard.markup import reported_html, word

__all__ = ["cell", "chips_cell", "grouped_table", "name_cell", "spectrogram_table", "table"]


def cell(text: str, name: str, *, kind: str = "", left: bool = False, small: str = "") -> str:
    """A cell with a text, and `small` under it. `name` is its column's, which a phone shows beside it.

    >>> cell("<b>", "Worst")
    '<td data-name="Worst"><bdi>&lt;b&gt;</bdi></td>'
    """
    classes = " ".join(part for part in ("am-left" if left else "", kind) if part)
    shown = f' class="{escape(classes)}"' if classes else ""
    under = f'<div class="am-muted">{word(small)}</div>' if small else ""
    return f'<td{shown} data-name="{escape(name)}">{word(text)}{under}</td>'


def name_cell(name: str, *, longest: int = 60, note: str = "", origin: str = "") -> str:
    """The cell that names its row, a long name cut in the middle and whole (to 300 characters) as its title.

    A model's numbers that come from elsewhere (`origin`) are marked so.
    """
    under = f'<div class="am-muted">{word(note)}</div>' if note else ""
    return (
        f'<th scope="row" class="am-left am-name" title="{escape(name[:300])}">{word(short_name(name, longest))}'
        f"{reported_html(origin)}{under}</th>"
    )


def chips_cell(notes: Sequence[str]) -> str:
    """The cell of notes that qualify a row."""
    chips = "".join(f'<span class="am-chip">{word(note)}</span>' for note in notes)
    return f'<td class="am-left am-wide">{f"<span class=am-chips>{chips}</span>" if chips else ""}</td>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, *, left: Sequence[str] = ()) -> str:
    """A table of cells. `left` names the columns whose heads stand at the left."""
    return grouped_table(head, {"": rows}, caption, left=left)


def grouped_table(
    head: Sequence[str],
    groups: Mapping[str, Sequence[Sequence[str]]],
    caption: str,
    *,
    left: Sequence[str] = (),
) -> str:
    """A table of cells in groups, each under a line with its name; the name "" has no line."""
    cells = "".join(
        f'<th scope="col"{" class=am-left" if name in left else ""}>{word(name)}</th>' for name in head
    )  # fmt: skip
    body = ""
    for name, rows in groups.items():
        if name and rows:
            body += f'<tr class="am-group"><th colspan="{len(head)}" scope="rowgroup">{word(name)}</th></tr>'
        body += "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    last = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="am-scroll" tabindex="0" role="region" aria-label="table"><table class="am-table">{last}'
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def spectrogram_table(parts: Sequence[Mapping[str, Any]]) -> str:
    """`audiometry.leaderboard.spectrogram.parts` as a table."""

    def number(value: float | None, unit: str) -> str:
        return "silent" if value is None else f"{value:,.0f} {unit}"

    rows = [
        [
            name_cell(f"{part['start']:.2f} to {part['end']:.2f} s"),
            cell(number(part["level"], "dB"), "level"),
            cell(number(part["half_below"], "Hz"), "half of the energy below"),
            cell(number(part["most_below"], "Hz"), "95 % of it below"),
        ]
        for part in parts
    ]
    caption = "Levels are in dB of full scale (root mean square)."
    return table(["Time", "Level", "Half of the energy below", "95 % of it below"], rows, caption, left=("Time",))
