"""A suite's ranking on the static board: a page and its rows, as the leaderboard's first page has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from audiometry.leaderboard import board, export, paired_ranks, suite_board, suite_markup
from audiometry.leaderboard.markup import heading, origin_html, word
from audiometry.leaderboard.site.look import page, slug
from audiometry.leaderboard.site.pages import Protocol, SuiteLine
from audiometry.leaderboard.site.parts import cite, day, line, model_link, note, plain, table

if TYPE_CHECKING:
    import pandas as pd

    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.suite_board import SuiteTasks

__all__ = ["suite_files"]

HEAD = ("Rank", "Model", "Group", "Mean rank", "Interval", "Drawn", "Tasks", "Samples", "Failed", "Origin")

PLACES = {
    "ranked": "",
    "incomplete": "Not ranked: without a result on every task of the suite",
    "control": "Controls, never ranked",
}

HOW = (
    "The mean rank over the suite's tasks, 1 the best, lies in its interval; two models are told apart where these do "
    "not meet, and a group holds the models that cannot be told from the best of it."
)


def suite_files(
    store: Store, title: str, protocols: Mapping[str, Protocol], heads: Sequence[pd.DataFrame]
) -> Iterator[tuple[SuiteLine, dict[str, bytes]]]:
    """Each suite of which something was measured: its line on the first page, and its files by their paths.

    `protocols` are by their digests; `heads` are the headlines of each (`queries.HEADLINE_COLUMNS`).
    """
    import pandas as pd

    if not heads:
        return
    known = store.protocols().sort_values("task", kind="stable")  # databases disagree about the order of names
    every = pd.concat(heads, ignore_index=True).sort_values(["task", "protocol", "model"], kind="stable")
    for suite in suite_board.measured_suites(known[known["protocol"].isin(protocols)]):
        mine = every[every["protocol"].isin(suite.digests)].reset_index(drop=True)
        rows = suite_board.suite_ranking(mine, suite.weights)
        ranked = list(rows[rows["place"] == "ranked"]["model"])
        pairs = paired_ranks.pair_suite(store, suite, mine, ranked, known)
        if pairs.places:
            rows = suite_board.suite_ranking(mine, suite.weights, pairs.places)
        path = f"suites/{slug(suite.name)}"
        caption = f"{suite_markup.how_ranked(len(suite.digests), pairs)} {HOW}"
        files = {
            f"{path}.html": _page(title, suite, rows, caption, protocols),
            f"{path}.csv": export.to_csv(rows),
            f"{path}.json": export.to_json(rows),
        }
        yield SuiteLine(_name(suite), f"{path}.html", _measured(suite), len(ranked), _first(rows)), files


def _name(suite: SuiteTasks) -> str:
    return f"{suite.name} {suite.version}".strip()


def _measured(suite: SuiteTasks) -> str:
    return f"{len(suite.digests)} of {len(suite.tasks)}"


def _first(rows: pd.DataFrame) -> str:
    """Who may be first, as HTML."""
    first = [row for row in board.records(rows) if row["place"] == "ranked" and row["first"] == 1]
    more = f" and {len(first) - 3:,} more" if len(first) > 3 else ""
    return ", ".join(model_link(row["model"], 0, row["origin"]) for row in first[:3]) + more


def _page(title: str, suite: SuiteTasks, rows: pd.DataFrame, caption: str, protocols: Mapping[str, Protocol]) -> bytes:
    span = (1.0, float(max(2, int((rows["place"] == "ranked").sum()))))
    bodies = []
    for place, label in PLACES.items():
        part = [_row(row, span) for row in board.records(rows[rows["place"] == place])]
        if part and label:
            part.insert(0, f'<tr class="am-group"><th colspan="{len(HEAD)}" scope="rowgroup">{label}</th></tr>')
        bodies.append("".join(part))
    newest = day(rows["newest"].max()) if len(rows) else ""
    name = slug(suite.name)
    body = (
        heading(_name(suite), "Who is better over the whole suite, and how sure that is.")
        + suite_markup.suite_line(suite)
        + table(HEAD, bodies, caption, ("Model", "Origin"), whole=True)
        + f"<h2>Tasks</h2>{_tasks(suite, protocols)}"
        + f'<h2>Download</h2><p><a href="{name}.csv" download>{name}.csv</a> and '
        + f'<a href="{name}.json" download>{name}.json</a>: these rows.</p>'
        + cite(f"{title}. {_name(suite)}, {_measured(suite)} tasks measured, last run {newest}.")
    )
    return page(f"Suite {_name(suite)}", body, depth=1, note=note(newest))


def _row(row: Mapping[str, Any], span: tuple[float, float]) -> str:
    ranked = row["place"] == "ranked"
    mean, low, high = row["mean_rank"], row["low"], row["high"]
    drawn = line({"value": mean, "low": low, "high": high}, span) if ranked else ""
    return (
        f"<tr{'' if ranked else ' class=am-apart'}>"
        f'<td class="am-rank" data-name="Rank" data-value="{row["first"] if ranked else ""}">'
        f"{escape(row['rank']) or '–'}</td>"
        f'<th scope="row" class="am-left am-name">{model_link(row["model"], 1)}</th>'
        f'<td data-name="Group">{row["tie_group"] if ranked else "–"}</td>'
        f'<td class="am-value" data-name="Mean rank" data-value="{plain(mean)}">{f"{mean:.2f}" if ranked else "–"}</td>'
        f'<td class="am-interval" data-value="{plain(low)}">{f"[{low:.2f}, {high:.2f}]" if ranked else "–"}</td>'
        f'<td class="am-wide" data-value="{plain(mean)}">{drawn}</td>'
        f'<td data-name="Tasks" data-value="{row["measured"]}">{row["measured"]} of {row["tasks"]}</td>'
        f'<td data-name="Samples" data-value="{row["n"]}">{row["n"]:,}</td>'
        f'<td data-name="Failed" data-value="{row["failed"]}">{row["failed"]:,}</td>'
        f'<td class="am-left">{origin_html(row["origin"])}</td></tr>'
    )


def _tasks(suite: SuiteTasks, protocols: Mapping[str, Protocol]) -> str:
    """The suite's tasks with their weights, each measured one as a link to its ranking."""
    total = sum(suite.weights.values()) or 1.0
    rows = []
    for one in suite.tasks:
        known = protocols.get(one.protocol or "")
        shown = f'<a href="../{known.path(known.metrics[0])}">{word(one.spec)}</a>' if known else word(one.spec)
        share = f"{100 * one.weight / total:.1f} %" if known else "not measured"
        rows.append(f'<tr><th scope="row" class="am-left am-name">{shown}</th><td data-name="Weight">{share}</td></tr>')
    return table(("Task", "Weight"), rows, "", ("Task",))
