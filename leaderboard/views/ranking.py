"""The first page: who is better, and how sure that is."""

from __future__ import annotations

import streamlit as st

from audiometry.leaderboard import board, figures, markup
from audiometry.leaderboard.views import shared

__all__ = ["show"]

CAPTION = (
    "A rank is a range where 95 % intervals overlap: these samples do not say who is better. "
    "Failed samples count in n and in the number. Choose a model to hear its samples."
)

HOW = """
- **Interval**: if the measurement were repeated on other samples of the same kind, 95 of 100 such intervals would hold
  the true value. It says nothing about speakers or conditions that were not sampled; what limits it stands beside it.
- **Rank**: a model stands behind those whose interval is wholly better, and before those whose interval is wholly
  worse. A paired comparison on the same samples can tell more models apart.
- **Controls** are not models: *oracle* is told the answers, *silent* says nothing, *shuffled* answers another sample's
  question. Oracle away from its perfect score, or silent near it, would mean that the harness is broken.
- **Failed** samples (errors, time-outs) are never dropped. **Empty** answers are answers, counted apart.
- **Speed** is seconds of sound per second of work on the machine of that run: compare it within one run only.
"""


def show() -> None:
    """Draw the page."""
    with shared.open_store() as store:
        top = st.container()
        choice = shared.choose_results(store)
        if choice is None:
            top.html(markup.heading("Leaderboard", "How well models hear, with how sure that is."))
            return
        rows = board.ranking(choice.results[choice.results["slice"] == "all"])
    top.html(markup.heading("Leaderboard", choice.meaning))
    st.html(f'<p class="am-muted">{markup.word(f"{shared.summary_of(choice.task)} {choice.conditions}.".strip())}</p>')
    st.html(markup.ranking_table(rows, choice.title, choice.link, CAPTION))
    with_controls = st.toggle("Controls in the plot", key="controls")
    drawn = rows if with_controls else rows[rows["place"] != "control"]
    st.plotly_chart(
        figures.ranking_figure(drawn, title=f"{choice.title}, with 95 % intervals", dark=shared.is_dark()),
        width="stretch", theme=None, config={"displayModeBar": False}, key="ranking",
    )  # fmt: skip
    with st.expander("How to read this"):
        st.markdown(HOW)
    shared.share(rows, choice.link, "ranking", choice.task)
