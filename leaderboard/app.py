"""The entry of the Streamlit app; start it with ``audiometry serve``."""

from __future__ import annotations

import streamlit as st

from audiometry.leaderboard.heatmap import HEATMAP_STYLE
from audiometry.leaderboard.marks import MARKS_STYLE
from audiometry.leaderboard.markup import ICON, LOGO, STYLE
from audiometry.leaderboard.navigation import pages

__all__ = ["main"]


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="Audiometry", page_icon=ICON, layout="wide")
    st.logo(LOGO, size="large")
    ground = "#11161d" if st.context.theme.type == "dark" else "#ffffff"
    st.html(f"<style>:root {{ --am-ground: {ground}; }}{STYLE}{MARKS_STYLE}{HEATMAP_STYLE}</style>")
    st.navigation(pages(), position="top").run()


if __name__ == "__main__":
    main()
