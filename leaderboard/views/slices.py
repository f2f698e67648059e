"""The second page: where a model is better or worse, group by group."""

from __future__ import annotations

import streamlit as st

from audiometry.leaderboard import board, figures, markup
from audiometry.leaderboard.views import shared

__all__ = ["show"]

MOST = 6
"""Models drawn unless the reader asks for others: more cannot be told apart."""


def show() -> None:
    """Draw the page."""
    with shared.open_store() as store:
        top = st.container()
        choice = shared.choose_results(store)
        lead = "One metric in every group of the samples. " + (choice.meaning if choice else "")
        top.html(markup.heading("Slices", lead))
        if choice is None:
            return
        rows = board.ranking(choice.results[choice.results["slice"] == "all"])
    dimensions = board.slice_dimensions(choice.results)
    if not dimensions:
        st.html(markup.callout("This task has no slices.", "am-info"))
        shared.share(choice.results, choice.link, "slices", choice.task)
        return
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    dimension = shared.choose("Slice by", dimensions, "slice", place=left)
    names = list(rows["model"])
    ranked = list(rows[rows["place"] == "ranked"]["model"])[:MOST] or names[:MOST]
    asked = [name for name in st.query_params.get_all("model") if name in names]
    models = right.multiselect("Models", names, default=asked or ranked, key=f"models:{choice.protocol}:{choice.run}")
    st.query_params["model"] = models
    if not models:
        st.html(markup.callout("Choose a model.", "am-info"))
        return
    groups = board.slice_rows(choice.results, dimension, models)
    st.plotly_chart(
        figures.slice_figure(groups, models, title=f"{choice.title}, with 95 % intervals", dark=shared.is_dark()),
        width="stretch", theme=None, config={"displayModeBar": False}, key="slices",
    )  # fmt: skip
    st.html(markup.slice_table(groups, dimension, choice.title))
    columns = ["group", "model", "value", "low", "high", "unit", "n", "failed", "empty", "notes", "origin", "run"]
    shared.share(groups[columns], choice.link | {"slice": dimension, "model": models}, "slices", choice.task)
