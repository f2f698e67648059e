"""The plots hold the numbers of the board, and names as text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from audiometry.benchmark.store import Store
from audiometry.leaderboard import board, figures

NASTY = "<b>bold</b><a href='javascript:alert(1)'>x</a>"


@pytest.fixture
def results(usual_run: Path, store_url: str) -> pd.DataFrame:
    with Store.open(store_url) as store:
        return store.results(metric="wer")


@pytest.fixture
def rows(results: pd.DataFrame) -> pd.DataFrame:
    return board.ranking(results[results["slice"] == "all"])


def test_every_model_has_its_value_and_interval(rows: pd.DataFrame) -> None:
    figure = figures.ranking_figure(rows, title="WER")
    names = list(figure.layout.yaxis.ticktext)[::-1]
    drawn = {}
    for trace in figure.data:
        bars = zip(trace.x, trace.y, trace.error_x.array, trace.error_x.arrayminus, strict=True)
        for x, y, above, below in bars:
            drawn[names[len(names) - 1 - round(y)]] = (x, x - below, x + above)
    for row in board.records(rows):
        assert drawn[row["model"]] == pytest.approx((100 * row["value"], 100 * row["low"], 100 * row["high"]))
    assert names == list(rows["model"])  # best at the top


def test_controls_differ_by_shape_and_not_by_colour_alone(rows: pd.DataFrame) -> None:
    figure = figures.ranking_figure(rows, title="WER")
    shapes = {trace.name: trace.marker.symbol for trace in figure.data}
    assert shapes == {"ranked": "circle", "control": "diamond-open"}


def test_a_model_without_a_number_is_not_drawn(rows: pd.DataFrame) -> None:
    rows.loc[0, ["value", "low", "high"]] = float("nan")
    rows.loc[1, ["low", "high"]] = float("nan")
    figure = figures.ranking_figure(rows, title="WER")
    assert len(figure.layout.yaxis.ticktext) == len(rows) - 1
    assert figure.data[0].error_x.array[0] == 0


def test_an_unranked_model_is_marked(rows: pd.DataFrame) -> None:
    rows.loc[0, "place"] = "unranked"
    assert "not ranked" in [trace.name for trace in figures.ranking_figure(rows, title="WER").data]


def test_an_empty_board_draws_no_points(rows: pd.DataFrame) -> None:
    assert len(figures.ranking_figure(rows[:0], title="WER").data) == 0


def test_names_are_text(rows: pd.DataFrame) -> None:
    rows.loc[0, "model"] = NASTY
    figure = figures.ranking_figure(rows, title="<i>WER</i>")
    document = figure.to_json()
    for tag in ("<b>bold", "<a ", "<i>"):
        assert tag not in document
        assert tag.replace("<", "\\u003c") not in document
    assert "&lt;b&gt;bold" in document.replace("\\u0026", "&")


def test_the_grounds_differ(rows: pd.DataFrame) -> None:
    light, dark = (figures.ranking_figure(rows, title="WER", dark=dark) for dark in (False, True))
    assert light.layout.font.color != dark.layout.font.color
    assert light.data[0].marker.color != dark.data[0].marker.color


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2.2, from 1 to 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("colours", "ground"), [(figures.LIGHT, "#ffffff"), (figures.DARK, "#11161d")])
def test_the_two_colours_of_the_ranking_stand_out(colours: tuple[str, ...], ground: str) -> None:
    for colour in (colours[0], colours[1], colours[2], colours[-1]):
        assert contrast(colour, ground) >= 3.0  # WCAG 1.4.11, graphical objects


def test_slices_are_drawn_group_by_group(results: pd.DataFrame) -> None:
    models = ["good:beam=5", "poor"]
    rows = board.slice_rows(results, "duration", models)
    figure = figures.slice_figure(rows, models, title="WER", dark=True)
    assert [trace.name for trace in figure.data] == models
    assert len({trace.marker.symbol for trace in figure.data}) == 2
    assert list(figure.layout.yaxis.ticktext) == ["short (n = 6)", "long (n = 6)"]
    for trace, model in zip(figure.data, models, strict=True):
        mine = rows[rows["model"] == model]
        assert list(trace.x) == pytest.approx(list(100 * mine["value"]))
        assert all(round(y) == place for y, place in zip(trace.y, (1, 0), strict=True))


@pytest.mark.parametrize("longest", [5, 20, 34])
def test_a_long_name_keeps_both_ends(longest: int) -> None:
    cut = figures.short_name("a" * 5000 + "z" * 5000, longest)
    assert len(cut) == longest
    assert cut.startswith("a")
    assert cut.endswith("z")
