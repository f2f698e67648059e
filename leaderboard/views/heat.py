"""Many models at a glance: by the tasks of a suite, or by the groups of a slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import streamlit as st

from audiometry.leaderboard import board, heatmap, markup, queries, suite_board
from audiometry.leaderboard.heatmap import Column
from audiometry.leaderboard.views import shared
from audiometry.leaderboard.views.overview import ROWS, choose_suite

if TYPE_CHECKING:
    from audiometry.benchmark.store import Store

__all__ = ["show"]

WAYS = ("models by tasks", "models by a slice")

LEAD = "Where each model is strong and weak: the bluer the better, with each number in its cell."

CAPTION_TASKS = (
    "Headline of each task, in percent where its unit is a fraction. Shades are spread within a column, over all "
    "models that were measured."
)
CAPTION_SLICES = "Shades are spread over all groups of this slice and all models that were measured."


def show() -> None:
    """Draw the page."""
    st.html(markup.heading("Heat map", LEAD))
    with shared.open_measured() as (store, state, _):
        way = shared.choose("Show", WAYS, "show")
        if way == WAYS[0]:
            _tasks(state)
        else:
            _slices(store)


def _tasks(state: queries.State) -> None:
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    suite = choose_suite(state, bar)
    find = shared.find_box("Find a model", bar)
    order = suite_board.find_models(suite_board.board_of(state, suite), find)
    page = list(shared.paged(order, ROWS)["model"])
    link = {"show": WAYS[0], "suite": suite.name} | ({"find": find} if find else {}) | shared.turned()
    if not page:
        st.html(markup.callout("No model is left: take another part of a name.", "am-info"))
        shared.share(order, link, "heat map", f"{suite.name} {suite.version}".strip())
        return
    cells = suite_board.cells_of(state, suite)
    shown = cells[cells["model"].isin(page)]
    facts = {row["protocol"]: row for row in board.records(cells.drop_duplicates("protocol"))}
    columns = [
        Column(one.protocol, one.task, _metric(facts[one.protocol]))
        for one in suite.tasks
        if one.protocol is not None and one.protocol in facts
    ]
    st.html(heatmap.legend_html())
    st.html(heatmap.heatmap_html(shown, page, columns, "protocol", CAPTION_TASKS, "models"))
    names = ["model", "task", "metric", "value", "low", "high", "unit", "direction", "n", "failed", "origin", "run",
             "created", "shade", "top"]  # fmt: skip
    rows = cells[cells["model"].isin(order["model"])][names]
    shared.share(rows.astype({"model": object}), link, "heat map", f"{suite.name} {suite.version}".strip())


def _slices(store: Store) -> None:
    choice = shared.choose_results(store)
    if choice is None:
        return
    dimensions = board.slice_dimensions(choice.results)
    if not dimensions:
        st.html(markup.callout("This task has no slices.", "am-info"))
        shared.share(choice.results, choice.link | {"show": WAYS[1]}, "heat map", choice.task)
        return
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    dimension = shared.choose("Slice by", dimensions, "slice", place=bar)
    find = shared.find_box("Find a model", bar)
    rows = board.ranking(choice.results[choice.results["slice"] == "all"])
    order = suite_board.find_models(rows, find)
    page = list(shared.paged(order, ROWS)["model"])
    groups = board.slice_rows(choice.results, dimension, list(rows["model"]))
    cells = heatmap.heat_cells(groups, "group", together=True)
    counts = groups.groupby("group", sort=False)["n"].max()
    columns = [Column(str(group), str(group), f"n = {number}") for group, number in counts.items()]
    st.html(f'<p class="am-muted">{markup.word(f"{choice.meaning} {choice.conditions}.")}</p>')
    st.html(heatmap.legend_html())
    st.html(heatmap.heatmap_html(cells, page, columns, "group", CAPTION_SLICES, "models"))
    names = ["model", "group", "value", "low", "high", "unit", "direction", "n", "failed", "notes", "origin", "run",
             "created", "shade", "top"]  # fmt: skip
    link = choice.link | {"show": WAYS[1], "slice": dimension} | ({"find": find} if find else {}) | shared.turned()
    shared.share(cells[cells["model"].isin(order["model"])][names], link, "heat map", choice.task)


def _metric(row: Mapping[str, Any]) -> str:
    sign = "%" if row["unit"] == "fraction" else str(row["unit"])
    way = "↓" if row["direction"] == "lower" else "↑"
    return f"{board.describe_metric(str(row['metric']), '')[0]}, {sign} {way}"
