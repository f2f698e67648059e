"""A suite's board as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from audiometry.leaderboard.board import describe_metric, format_rtfx, format_value, records
from audiometry.leaderboard.figures import marked_name
from audiometry.leaderboard.marks import link_cell, mark_cell, span_html
from audiometry.leaderboard.markup import origin_html, word
from audiometry.leaderboard.tables import cell, grouped_table, table

if TYPE_CHECKING:
    import pandas as pd

    from audiometry.leaderboard.paired_ranks import SuitePairs
    from audiometry.leaderboard.suite_board import SuiteTasks

__all__ = ["WAITING", "how_ranked", "suite_line", "suite_table", "suite_tasks"]

MODEL_PAGE = "models"

WAITING = "Ranks by intervals; the models are being compared sample by sample, and this table will tell more then."

HEAD = (
    "Model", "Rank", "Group", "Mean rank", "Interval", "", "Tasks", "Samples", "Failed", "Speed", "Origin",
)  # fmt: skip


def suite_line(suite: SuiteTasks) -> str:
    """What the suite holds, and what nobody measured of it, in one line."""
    if not suite.version:
        told = f"All {len(suite.tasks)} tasks that were measured, each with the same weight."
    else:
        told = f"Suite {suite.name}, version {suite.version}: {len(suite.digests)} of its {len(suite.tasks)} tasks"
        told += " were measured." if suite.missing else "."
    if suite.missing:
        shown = ", ".join(suite.missing[:4]) + (f" and {len(suite.missing) - 4} more" if len(suite.missing) > 4 else "")
        told += f" Not measured here, and so left out: {shown}."
    return f'<p class="am-muted">{word(told)}</p>'


def how_ranked(tasks: int, pairs: SuitePairs) -> str:
    """Which way the ranks were found: the table's caption."""
    paired = len(pairs.places)
    lead = "A rank is a range where the data do not say who is better. "
    if paired == tasks and tasks:
        return f"{lead}Ranks within all {tasks} tasks by paired comparison, sample by sample."
    why = f" ({next(iter(pairs.reasons.values()))})" if pairs.reasons else ""
    if not paired:
        return f"{lead}Ranks within tasks by overlap of 95 % intervals{why}."
    return f"{lead}Ranks within {paired} of {tasks} tasks by paired comparison, by overlap of intervals elsewhere{why}."


def suite_table(page: pd.DataFrame, ranked: int, caption: str) -> str:
    """Rows of `suite_board.suite_ranking` as a table; `ranked` is the number of ranked models in all."""
    groups: dict[str, list[list[str]]] = {}
    titles = {
        "ranked": "",
        "incomplete": "Not ranked: without a result on every task of the suite",
        "control": "Controls, never ranked: they show what the numbers mean when nothing, or everything, is heard",
    }
    for row in records(page):
        groups.setdefault(titles[row["place"]], []).append(_row(row, ranked))
    return grouped_table(HEAD, groups, caption, left=("Model", "Origin"))


def _row(row: Mapping[str, Any], ranked: int) -> list[str]:
    is_ranked = row["place"] == "ranked"
    low, high = row["low"], row["high"]
    bar = span_html(low, high, row["mean_rank"], (1.0, float(max(ranked, 2)))) if is_ranked else ""
    speeds = [format_rtfx(row[name]) for name in ("worst", "best")]
    if row["place"] == "control" or speeds[0] == "–":
        speed = "–"
    else:
        speed = speeds[0] if speeds[0] == speeds[1] else f"{speeds[0].removesuffix(' ×')} to {speeds[1]}"
    return [
        link_cell(MODEL_PAGE, row["model"]),
        cell(row["rank"] or "–", "Rank", kind="am-rank"),
        cell(str(row["tie_group"]) if is_ranked else "–", "Group", kind="" if is_ranked else "am-none"),
        cell(f"{row['mean_rank']:.2f}" if is_ranked else "–", "Mean rank", kind="am-value" if is_ranked else "am-none"),
        cell(f"[{low:.2f}, {high:.2f}]" if is_ranked else "–", "", kind="am-interval" if is_ranked else "am-none"),
        mark_cell(bar, "", kind="" if bar else "am-none"),
        cell(f"{row['measured']} of {row['tasks']}", "Tasks", kind="am-interval"),
        cell(f"{row['n']:,}", "Samples"),
        cell(f"{row['failed']:,}", "Failed"),
        cell(speed, "Speed", kind="am-interval"),
        mark_cell(origin_html(row["origin"]), "", left=True),
    ]


def suite_tasks(suite: SuiteTasks, heads: pd.DataFrame, reasons: Mapping[str, str]) -> str:
    """The suite's tasks: weight, headline, the best model, and how ranks were found there."""
    weights = sum(suite.weights.values()) or 1.0
    rows = []
    for one in suite.tasks:
        address = f"ranking?{urlencode({'task': one.task, 'protocol': one.protocol or ''})}"
        shown = f'<a href="{escape(address)}">{word(one.spec)}</a>' if one.protocol else word(one.spec)
        name = f'<th scope="row" class="am-left am-name">{shown}</th>'
        if one.protocol is None:
            rows.append([name, cell(f"{one.weight:.2f}", "Weight"), *[cell("–", "", kind="am-none")] * 2,
                         cell("not measured", "Ranks", left=True)])  # fmt: skip
            continue
        part = heads[(heads["protocol"] == one.protocol) & ~heads["control"] & heads["value"].notna()]
        best = cell("–", "Best", kind="am-none", left=True)
        metric = "–"
        if len(part):
            sign = 1.0 if part["direction"].iloc[0] == "lower" else -1.0
            top = min(records(part), key=lambda row: sign * row["value"])
            value = format_value(top["value"], str(top["unit"]))
            best = cell(f"{marked_name(top['model'], str(top['origin']), 60)}: {value}", "Best", left=True)
            metric = f"{describe_metric(str(top['metric']), '')[0]}, {top['direction']} is better"
        share = f"{100 * one.weight / weights:.1f} %"
        how = reasons.get(one.protocol, "paired comparison")
        rows.append([name, cell(share, "Weight"), cell(metric, "", left=True), best, cell(how, "Ranks", left=True)])
    head = ("Task", "Weight", "Headline", "Best", "Ranks by")
    return table(
        head, rows, "The weight is that in the suite's mean rank.", left=("Task", "Headline", "Best", "Ranks by")
    )
