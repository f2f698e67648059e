"""The entry of the Streamlit app; start it with ``audiometry serve``."""

from __future__ import annotations

import streamlit as st

from audiometry.leaderboard.markup import ICON, LOGO, STYLE
from audiometry.leaderboard.views import ranking, samples, slices

__all__ = ["main"]


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="Audiometry", page_icon=ICON, layout="wide")
    st.logo(LOGO, size="large")
    st.html(f"<style>{STYLE}</style>")
    pages = [
        st.Page(ranking.show, title="Ranking", icon=":material/leaderboard:", url_path="ranking", default=True),
        st.Page(slices.show, title="Slices", icon=":material/stacked_bar_chart:", url_path="slices"),
        st.Page(samples.show, title="Samples", icon=":material/graphic_eq:", url_path="samples"),
    ]
    st.navigation(pages, position="top").run()


if __name__ == "__main__":
    main()
