"""Ranks over a suite: hand-computed cases, and what must hold for any numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometry.benchmark.types import Task
from audiometry.leaderboard import board, suite_board
from audiometry.leaderboard.queries import HEADLINE_COLUMNS

WHEN = datetime(2026, 11, 22, tzinfo=UTC)


def head(model: str, task: str, value: float, half: float = 0.01, **more: Any) -> dict[str, Any]:
    return {
        "protocol": f"p-{task}", "task": task, "model": model, "metric": "wer", "unit": "fraction",
        "direction": "lower", "value": value, "low": value - half, "high": value + half, "n": 10, "failed": 0,
        "empty": 0, "refused": 0, "unparsed": 0, "rtfx": 2.0, "control": False, "run_status": "complete",
        "origin": "local", "run": f"r-{model}", "created": WHEN, "folder": "/x",
    } | more  # fmt: skip


def heads(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(HEADLINE_COLUMNS))


def by_model(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in board.records(frame)}


def test_mean_ranks_by_hand() -> None:
    """a is surely first on x (weight 3); b and c cannot be told apart there; on y c is surely first, a and b tie."""
    found = by_model(
        suite_board.suite_ranking(
            heads(
                head("a", "x", 0.10), head("b", "x", 0.20), head("c", "x", 0.21),
                head("a", "y", 0.50, 0.1), head("b", "y", 0.45, 0.1), head("c", "y", 0.10),
            ),
            {"p-x": 3.0, "p-y": 1.0},
        )
    )  # fmt: skip
    assert found["a"]["mean_rank"] == pytest.approx((3 * 1 + 1 * 3) / 4)
    assert (found["a"]["low"], found["a"]["high"]) == pytest.approx(((3 * 1 + 2) / 4, (3 * 1 + 3) / 4))
    assert (found["b"]["low"], found["b"]["high"]) == pytest.approx(((3 * 2 + 2) / 4, (3 * 3 + 3) / 4))
    assert (found["c"]["low"], found["c"]["high"]) == pytest.approx(((3 * 2 + 1) / 4, (3 * 3 + 1) / 4))
    assert [found[name]["rank"] for name in "abc"] == ["1", "2-3", "2-3"]
    assert [found[name]["tie_group"] for name in "abc"] == [1, 2, 2]


def test_a_task_where_more_is_better_turns_round() -> None:
    rows = heads(head("a", "x", 0.9, direction="higher"), head("b", "x", 0.1, direction="higher"))
    assert list(suite_board.suite_ranking(rows, {"p-x": 1.0})["model"]) == ["a", "b"]


def test_equal_values_share_their_rank() -> None:
    found = by_model(suite_board.suite_ranking(heads(head("a", "x", 0.1), head("b", "x", 0.1)), {"p-x": 1.0}))
    assert found["a"]["mean_rank"] == found["b"]["mean_rank"] == 1.5
    assert found["a"]["rank"] == found["b"]["rank"] == "1-2"


def test_ranks_of_a_paired_comparison_take_the_place_of_overlap() -> None:
    rows = heads(head("a", "x", 0.10, 0.05), head("b", "x", 0.12, 0.05))
    alone = by_model(suite_board.suite_ranking(rows, {"p-x": 1.0}))
    paired = by_model(suite_board.suite_ranking(rows, {"p-x": 1.0}, {"p-x": {"a": (1, 1), "b": (2, 2)}}))
    assert [alone[name]["rank"] for name in "ab"] == ["1-2", "1-2"]
    assert [paired[name]["rank"] for name in "ab"] == ["1", "2"]


def test_who_is_not_ranked_and_why() -> None:
    found = by_model(
        suite_board.suite_ranking(
            heads(
                head("a", "x", 0.1), head("a", "y", 0.1), head("half", "x", 0.0),
                head("broken", "x", 0.0, run_status="partial"), head("broken", "y", 0.0),
                head("oracle", "x", 0.0, control=True), head("oracle", "y", 0.0, control=True),
                head("undefined", "x", float("nan")), head("undefined", "y", 0.1, failed=3),
            ),
            {"p-x": 1.0, "p-y": 1.0},
        )
    )  # fmt: skip
    places = {name: row["place"] for name, row in found.items()}
    assert places == {
        "a": "ranked", "half": "incomplete", "broken": "incomplete", "undefined": "incomplete", "oracle": "control",
    }  # fmt: skip
    assert found["a"]["rank"] == "1"
    assert (found["half"]["measured"], found["half"]["tasks"]) == (1, 2)
    assert found["broken"]["measured"] == 1
    assert found["undefined"]["failed"] == 3
    assert found["half"]["rank"] == ""
    assert next(iter(found)) == "a"
    assert list(found)[-1] == "oracle"


def test_a_model_without_intervals_may_have_any_rank() -> None:
    rows = heads(head("a", "x", 0.1), head("b", "x", 0.9, low=np.nan, high=np.nan))
    found = by_model(suite_board.suite_ranking(rows, {"p-x": 1.0}))
    assert found["a"]["rank"] == found["b"]["rank"] == "1-2"


def test_nothing_measured_is_an_empty_board() -> None:
    assert suite_board.suite_ranking(heads(), {}).empty


def test_origins_of_a_model_are_all_told() -> None:
    rows = heads(head("a", "x", 0.1), head("a", "y", 0.1, origin="verified"))
    assert list(suite_board.suite_ranking(rows, {"p-x": 1.0, "p-y": 1.0})["origin"]) == ["local; verified"]


def test_finding_by_name_and_origin_keeps_the_ranks() -> None:
    rows = suite_board.suite_ranking(
        heads(head("Alpha", "x", 0.1), head("beta", "x", 0.5, origin="verified"), head("alphabet", "x", 0.9)),
        {"p-x": 1.0},
    )
    assert list(suite_board.find_models(rows, "ALPHA")["rank"]) == ["1", "3"]
    assert list(suite_board.find_models(rows, "", ("verified",))["model"]) == ["beta"]
    assert list(suite_board.find_models(rows, ".*")["model"]) == []


spans = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.3)), min_size=1, max_size=12)


@given(spans, st.sampled_from(["lower", "higher"]))
def test_ranks_by_sorting_are_those_of_every_pair(given_spans: Sequence[tuple[float, float]], direction: str) -> None:
    low = np.array([a for a, _ in given_spans])
    high = np.array([a + b for a, b in given_spans])
    first, last = suite_board.interval_ranks(low, high, direction)
    assert list(zip(first.tolist(), last.tolist(), strict=True)) == board.rank_ranges(low, high, direction)


@settings(deadline=None)
@given(spans)
def test_the_mean_rank_lies_in_its_interval(given_spans: Sequence[tuple[float, float]]) -> None:
    rows = [head(f"m{i}", "x", a + b / 2, b / 2) for i, (a, b) in enumerate(given_spans)]
    found = suite_board.suite_ranking(heads(*rows), {"p-x": 1.0})
    assert (found["low"] <= found["mean_rank"] + 1e-9).all()
    assert (found["mean_rank"] <= found["high"] + 1e-9).all()
    assert (found["first"] <= found["last"]).all()
    assert found["tie_group"].is_monotonic_increasing


def protocols(*rows: tuple[str, str, dict[str, str], str, bool]) -> pd.DataFrame:
    return pd.DataFrame([
        {"task": task, "version": version, "settings": settings, "protocol": digest, "limited": limited}
        for task, version, settings, digest, limited in rows
    ])  # fmt: skip


def test_a_suite_takes_the_task_of_today_in_whole(installed_task: Task) -> None:
    known = {"normaliser": "none-1"}
    table = protocols(
        ("wer-tones", "1", known, "part", True), ("wer-tones", "0", known, "old", False),
        ("wer-tones", "1", {"normaliser": "other"}, "other", False), ("wer-tones", "1", known, "now", False),
        ("wer-tones", "1", known, "before", False),
    )  # fmt: skip
    suite = suite_board.tasks_of_suite("tones", table)
    assert (suite.version, suite.digests, suite.weights) == ("3", ["now"], {"now": 2.0})
    older = suite_board.tasks_of_suite("tones", table[table["protocol"] == "old"])
    assert older.digests == []
    assert older.missing == ["wer-tones"]


def test_every_task_is_always_a_choice(installed_task: Task) -> None:
    table = protocols(("mine", "1", {}, "d", False), ("wer-tones", "1", {"normaliser": "none-1"}, "t", False))
    suites = suite_board.measured_suites(table)
    assert [suite.name for suite in suites] == ["tones", suite_board.EVERY_TASK]
    assert suites[-1].digests == ["d", "t"]
