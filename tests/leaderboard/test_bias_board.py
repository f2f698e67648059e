"""Gaps of a run as the command line has them, and the plot of them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from audiometry.benchmark.errors import DataError, UserError
from audiometry.leaderboard import bias_board

GAP = {
    "by": "gender<b>", "metric": "wer", "worst": "a", "best": "b", "gap": 0.1, "low": 0.05, "high": 0.2, "ratio": 2.0,
    "ratio_low": 1.0, "ratio_high": 3.0, "p": 0.001, "p_adjusted": 0.002, "groups": 2, "suppressed": [], "notes": [],
}  # fmt: skip


def test_a_gap_with_a_difference_differs_by_shape() -> None:
    rows = [GAP, GAP | {"by": "age", "p_adjusted": 0.3, "gap": 0.02, "low": 0.0}]
    figure = bias_board.gap_figure(rows, "fraction", title="Gap <i>")
    shown, hidden = figure.data
    assert (shown.marker.symbol, hidden.marker.symbol) == ("circle", "circle-open")
    assert (shown.x[0], shown.error_x.array[0], shown.error_x.arrayminus[0]) == pytest.approx((10.0, 10.0, 5.0))
    names = dict(zip(figure.layout.yaxis.tickvals, figure.layout.yaxis.ticktext, strict=True))
    assert names[shown.y[0]] == "gender&lt;b&gt;"
    assert names[hidden.y[0]] == "age"
    assert figure.layout.xaxis.title.text == "Gap &lt;i&gt;"
    alone = bias_board.gap_figure([GAP], "s", title="Gap", dark=True)
    assert len(alone.data) == 1
    assert alone.data[0].x[0] == 0.1


def test_groups_stand_worst_first() -> None:
    results = pd.DataFrame({
        "model": "m", "slice": ["all", "age=old", "age=young", "age=few", "sex=f"], "value": [0.2, 0.1, 0.3, None, 0.5],
        "direction": "lower",
    })  # fmt: skip
    assert list(bias_board.group_rows(results, "age", "m")["group"]) == ["young", "old", "few"]
    higher = bias_board.group_rows(results.assign(direction="higher"), "age", "m")
    assert list(higher["group"]) == ["old", "young", "few"]
    assert bias_board.group_rows(results, "age", "other").empty


def test_a_task_of_gaps_alone_has_no_base_metric() -> None:
    with pytest.raises(DataError, match="none is left to compare groups by"):
        bias_board.base_metric(["gap_age", "worst_group_wer"])


RUN_OF_M = {"id": "r", "status": "complete", "models": [{"name": "m"}], "tasks": [], "settings": {}}


def test_a_run_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not here; put it back"):
        bias_board.find_gaps(str(tmp_path), "m", "t")
    (tmp_path / "run.json").write_text(json.dumps(RUN_OF_M))
    with pytest.raises(UserError, match="holds no model 'other'"):
        bias_board.find_gaps(str(tmp_path), "other", "t")
