"""The first page: who is better over a whole suite, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from audiometry.leaderboard import markup, paired_ranks, queries, suite_board, suite_markup
from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    import pandas as pd
    from streamlit.delta_generator import DeltaGenerator

    from audiometry.leaderboard.suite_board import SuiteTasks

__all__ = ["ROWS", "choose_suite", "show"]

ROWS = 25
"""Models on one page of the table."""

ANY = "any origin"

LEAD = "Who is better over a whole suite of tasks, and how sure that is."

HOW = """
- **Mean rank**: a model has a rank in every task of the suite, 1 the best; these are averaged with the suite's weights.
  Only models that were measured on every task of it are ranked, and only they count.
- **Interval**: within a task the data leave a range of ranks open. The mean rank lies between the mean of the lowest
  and the mean of the highest of them.
- **Rank** on the suite is a range too: a model stands behind those whose whole interval is better. **Group** holds the
  models that cannot be told from the best of it.
- **Pairs or intervals**: where the runs kept their samples, models are compared sample by sample, all at once, so that
  every range of the suite is right together with 95 % probability. Elsewhere a model's 95 % interval is held against
  the others', which is more careful within a pair and makes no promise for all together.
- **Origin**: *verified* runs were made by a worker of this board from what was submitted, *local* ones by whoever owns
  this store, *self-reported* ones were imported, and nobody here has seen them happen.
"""


def show() -> None:
    """Draw the page."""
    st.html(markup.heading("Leaderboard", LEAD))
    with shared.open_measured() as (store, state, protocols):
        bar = st.container(horizontal=True, vertical_alignment="bottom")
        suite = choose_suite(state, bar)
        heads = queries.headlines(state, suite.digests)
        rows = suite_board.board_of(state, suite)
        find, origin = _filters(rows, bar)
        st.html(suite_markup.suite_line(suite))
        turn, table = st.container(), st.empty()
        ranked = list(rows[rows["place"] == "ranked"]["model"])
        if len(ranked) > 1:
            table.html(_table(_chosen(rows, find, origin).head(ROWS), rows, suite_markup.WAITING))
        pairs = paired_ranks.pair_suite(store, suite, heads, ranked, protocols)
    if pairs.places:
        rows = suite_board.suite_ranking(heads, suite.weights, pairs.places)
    chosen = _chosen(rows, find, origin)
    table.html(_table(shared.paged(chosen, ROWS, turn), rows, suite_markup.how_ranked(len(suite.digests), pairs)))
    with st.expander("The suite's tasks"):
        st.html(suite_markup.suite_tasks(suite, heads, pairs.reasons))
    with st.expander("How to read this"):
        st.markdown(HOW)
    kept = {"find": find} if find else {}
    kept |= ({"origin": origin[0]} if origin else {}) | shared.turned()
    name = f"{suite.name} {suite.version}".strip()
    shared.share(chosen.rename(columns={"newest": "created"}), {"suite": suite.name, **kept}, "suite", name)


def choose_suite(state: queries.State, place: DeltaGenerator) -> SuiteTasks:
    """Let the reader choose among the suites of which something was measured."""
    suites = {suite.name: suite for suite in suite_board.offered_suites(state)}

    def told(name: str) -> str:
        suite = suites[name]
        if not suite.version:
            return f"{name} ({len(suite.tasks)})"
        return f"{name} {suite.version} ({len(suite.digests)} of {len(suite.tasks)} tasks)"

    return suites[shared.choose("Suite", list(suites), "suite", show=told, place=place)]


def _filters(rows: pd.DataFrame, place: DeltaGenerator) -> tuple[str, tuple[str, ...]]:
    origins = sorted({one for some in set(rows["origin"]) for one in some.split("; ")})
    find = shared.find_box("Find a model", place)
    origin = shared.choose("Origin", [ANY, *origins], "origin", place=place, draw=len(origins) > 1)
    return find, () if origin == ANY else (origin,)


def _chosen(rows: pd.DataFrame, find: str, origin: tuple[str, ...]) -> pd.DataFrame:
    return suite_board.find_models(rows, find, origin)


def _table(page: pd.DataFrame, rows: pd.DataFrame, caption: str) -> str:
    ranked = int((rows["place"] == "ranked").sum())
    return suite_markup.suite_table(page, ranked, caption)
