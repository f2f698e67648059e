"""Shades of a heat map, and its table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from audiometry.leaderboard.heatmap import STEPS, Column, heat_cells, heatmap_html, shades


def cells(*rows: tuple[str, str, float, float, float], direction: str = "lower") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["model", "task", "value", "low", "high"])
    return frame.assign(direction=direction, unit="fraction", n=10, failed=0)


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3)))
def test_better_is_never_paler(values: np.ndarray) -> None:
    found = shades(values, "lower")
    order = np.argsort(values, kind="stable")
    sorted_shades = [found[i] for i in order]
    assert all(one is not None and 0 <= one < STEPS for one in sorted_shades)
    assert sorted_shades == sorted(sorted_shades, reverse=True)
    assert shades(-values, "higher") == found


def test_one_hopeless_model_does_not_make_the_others_alike() -> None:
    values = np.array([*np.linspace(0.05, 0.10, 40), 1000.0])
    assert len(set(shades(values, "lower"))) == STEPS


def test_equal_values_are_all_best_and_none_has_no_shade() -> None:
    assert shades(np.array([0.2, 0.2, np.nan]), "lower") == [STEPS - 1, STEPS - 1, None]
    assert shades(np.array([np.nan]), "lower") == [None]


def test_what_meets_the_best_is_framed() -> None:
    found = heat_cells(
        cells(("a", "t", 0.1, 0.05, 0.15), ("b", "t", 0.14, 0.12, 0.2), ("c", "t", 0.5, 0.4, 0.6)), "task"
    )
    assert list(found["top"]) == [True, True, False]
    turned = heat_cells(cells(("a", "t", 0.9, 0.8, 0.95), ("b", "t", 0.5, 0.4, 0.6), direction="higher"), "task")
    assert list(turned["top"]) == [True, False]


def test_columns_are_shaded_apart_or_together() -> None:
    rows = cells(
        ("a", "x", 0.1, 0.1, 0.1), ("b", "x", 0.2, 0.2, 0.2), ("a", "y", 0.8, 0.8, 0.8), ("b", "y", 0.9, 0.9, 0.9)
    )
    assert list(heat_cells(rows, "task")["shade"]) == [7, 0, 7, 0]
    assert list(heat_cells(rows, "task", together=True)["shade"]) == [7, 6, 1, 0]


def test_the_table_is_read_aloud_and_names_are_text() -> None:
    name = "<img src=x onerror=alert(1)>"
    found = heat_cells(cells((name, "t", 0.068, 0.05, 0.08)), "task")
    html = heatmap_html(found, [name, "gone"], [Column("t", name, "%"), Column("u", "u")], "task", name, "models")
    assert "<img" not in html
    assert html.count('scope="col"') == 3
    assert html.count('scope="row"') == 2
    assert "<caption>" in html
    assert ">6.8</td>" in html
    assert "[5.0, 8.0]" in html
    assert html.count("am-missing") == 3


def test_nothing_is_an_empty_table() -> None:
    assert heat_cells(cells(), "task").empty
