"""The pages of the leaderboard, in their order."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import streamlit as st

__all__ = ["PAGES", "pages"]

VIEWS = "audiometry.leaderboard.views"

PAGES = {
    "overview": ("Overview", "leaderboard"),
    "heat": ("Heat map", "grid_on"),
    "models": ("Models", "id_card"),
    "compare": ("Compare", "compare_arrows"),
    "ranking": ("Ranking", "format_list_numbered"),
    "slices": ("Slices", "stacked_bar_chart"),
    "detection": ("Detection", "troubleshoot"),
    "bias": ("Bias", "balance"),
    "spoof": ("Spoof", "shield"),
    "samples": ("Samples", "graphic_eq"),
    "submissions": ("Submissions", "upload_file"),
}
"""Title and icon of each view, which is also its place in the address; the first stands at the root."""


def pages() -> list[st.Page]:
    """Every page of `PAGES` whose view is there; a view is imported when it is drawn."""
    return [
        st.Page(_drawer(name), title=title, icon=f":material/{icon}:", url_path=name, default=place == 0)
        for place, (name, (title, icon)) in enumerate(PAGES.items())
        if find_spec(f"{VIEWS}.{name}") is not None
    ]


def _drawer(name: str) -> Callable[[], None]:
    def draw() -> None:
        import_module(f"{VIEWS}.{name}").show()

    draw.__name__ = name
    return draw
