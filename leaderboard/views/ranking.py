"""One task: who is better, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from audiometry.leaderboard import board, figures, markup, paired_ranks, queries, suite_board
from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    import pandas as pd

    from audiometry.benchmark.store import Store

__all__ = ["show"]

ROWS = 25
"""Models on one page of the table, and of the plot."""

CAPTION = (
    "A rank is a range where these samples do not say who is better. Failed samples count in n and in the number. "
    "Choose a model to hear its samples. "
)

HOW = """
- **Interval**: if the measurement were repeated on other samples of the same kind, 95 of 100 such intervals would hold
  the true value. It says nothing about speakers or conditions that were not sampled; what limits it stands beside it.
- **Rank**: where the runs kept their samples, all models are compared on them at once, in pairs; every range of ranks
  is right together with 95 % probability. Elsewhere, a model stands behind those whose interval is wholly better, and
  before those whose interval is wholly worse, which is more cautious within a pair. The table's caption says which.
- **Controls** are not models: *oracle* is told the answers, *silent* says nothing, *shuffled* answers another sample's
  question. Oracle away from its perfect score, or silent near it, would mean that the harness is broken.
- **Failed** samples (errors, time-outs) are never dropped. **Empty** answers are answers, counted apart.
- **Speed** is seconds of sound per second of work on the machine of that run: compare it within one run only.
- **Origin**: *verified* runs were made by a worker of this board from what was submitted, *local* ones by whoever owns
  this store, *self-reported* ones were imported, and nobody here has seen them happen.
"""


def show() -> None:
    """Draw the page."""
    with shared.open_store() as store:
        top = st.container()
        choice = shared.choose_results(store, slice="all")
        if choice is None:
            top.html(markup.heading("Ranking", "How well models hear, with how sure that is."))
            return
        rows = board.ranking(choice.results)
        top.html(markup.heading("Ranking", choice.meaning))
        told = f"{shared.summary_of(choice.task)} {choice.conditions}.".strip()
        st.html(f'<p class="am-muted">{markup.word(told)}</p>')
        bar, table = st.container(horizontal=True, vertical_alignment="bottom"), st.empty()
        table.html(_table(rows.head(ROWS), choice, "Ranks by overlap of 95 % intervals."))
        pairs = _pairs(store, choice, rows)
    if pairs.places:
        rows = board.ranking(choice.results, pairs.places)
    find = shared.find_box("Find a model", bar) if len(rows) > ROWS else ""
    chosen = suite_board.find_models(rows, find)
    page = shared.paged(chosen, ROWS, bar)
    table.html(_table(page, choice, paired_ranks.how_ranked(pairs)))
    with_controls = shared.switch("Controls in the plot", "controls")
    drawn = page if with_controls else page[page["place"] != "control"]
    st.plotly_chart(
        figures.ranking_figure(drawn, title=f"{choice.title}, with 95 % intervals", dark=shared.is_dark()),
        width="stretch", theme=None, config={"displayModeBar": False}, key="ranking",
    )  # fmt: skip
    with st.expander("How to read this"):
        st.markdown(HOW)
    link = choice.link | ({"find": find} if find else {}) | shared.turned()
    shared.share(chosen, link | ({"controls": "on"} if with_controls else {}), "ranking", choice.task)


def _table(page: pd.DataFrame, choice: shared.Choice, how: str) -> str:
    return markup.ranking_table(page, choice.title, choice.link, CAPTION + how)


def _pairs(store: Store, choice: shared.Choice, rows: pd.DataFrame) -> paired_ranks.PairedRanks:
    """Ranks by paired comparison, of the task's headline alone."""
    if choice.metric != queries.metrics_of_protocol(store, choice.protocol)[0]:
        return paired_ranks.PairedRanks({}, paired_ranks.HEADLINE_ALONE)
    return paired_ranks.pair_task(store, choice.task, rows)
