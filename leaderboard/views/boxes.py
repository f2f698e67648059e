"""Boxes that several pages have: which models to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from audiometry.leaderboard.views import shared

if TYPE_CHECKING:
    import pandas as pd
    from streamlit.delta_generator import DeltaGenerator

__all__ = ["choose_models"]


def choose_models(
    rows: pd.DataFrame, choice: shared.Choice, place: DeltaGenerator, *, most: int, beside: Sequence[str] = ()
) -> list[str]:
    """Let the reader choose at most `most` models of `rows` (`board.ranking`), kept in the address as ``model``.

    At first the best ranked ones are chosen. Those `beside` are chosen too, after the others, and cannot be left out.
    """
    names = [name for name in rows["model"] if name not in beside]
    ranked = [name for name in rows[rows["place"] == "ranked"]["model"] if name in names]
    asked = [name for name in st.query_params.get_all("model") if name in names]
    chosen: list[str] = place.multiselect(
        "Models", names, default=(asked or ranked or names)[: most - len(beside)], max_selections=most - len(beside),
        key=f"models:{most}:{choice.protocol}:{choice.run}",
    )  # fmt: skip
    st.query_params["model"] = chosen
    return [*chosen, *beside]
