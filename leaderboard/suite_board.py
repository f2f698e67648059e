"""A suite's board: models ranked over all of its tasks by their mean rank, with what the data do not say left open.

Pure functions over frames; no page. Within a task a model has a range of ranks. The suite's mean rank, weighted as the
suite says, therefore lies between the mean of the lowest and the mean of the highest of them, and two models are told
apart on the suite where those spans do not meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audiometry.benchmark.errors import AudiometryError
from audiometry.benchmark.registry import SUITES, TASKS, parse_spec
from audiometry.benchmark.types import FloatArray, IntArray
from audiometry.leaderboard import queries
from audiometry.leaderboard.board import records
from audiometry.leaderboard.heatmap import heat_cells
from audiometry.leaderboard.queries import State, headlines

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EVERY_TASK",
    "SUITE_COLUMNS",
    "Measured",
    "SuiteTasks",
    "board_of",
    "board_order",
    "cells_of",
    "find_models",
    "interval_ranks",
    "measured_suites",
    "offered_suites",
    "suite_ranking",
    "tasks_of_suite",
]

EVERY_TASK = "every task"
"""The choice that is no registered suite: whatever was measured, every task with the same weight."""

SUITE_COLUMNS = (
    "rank", "tie_group", "model", "mean_rank", "low", "high", "measured", "tasks", "n", "failed", "origin", "place",
    "first", "last", "best", "worst", "newest",
)  # fmt: skip
"""Columns of `suite_ranking`."""


@dataclass(frozen=True)
class Measured:
    """A task of a suite: how the suite names it, its weight, and the protocol that the store has of it, if any."""

    spec: str
    task: str
    weight: float
    protocol: str | None


@dataclass(frozen=True)
class SuiteTasks:
    """A suite as the store has it."""

    name: str
    version: str
    tasks: tuple[Measured, ...]

    @property
    def digests(self) -> list[str]:
        """Protocols that were measured."""
        return [task.protocol for task in self.tasks if task.protocol is not None]

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each measured protocol."""
        return {task.protocol: task.weight for task in self.tasks if task.protocol is not None}

    @property
    def missing(self) -> list[str]:
        """Tasks that nobody measured as the suite asks for them."""
        return [task.spec for task in self.tasks if task.protocol is None]


@lru_cache(64)
def _identity(spec: str) -> tuple[str, str, tuple[tuple[str, str], ...]] | None:
    """A registered task's name, version and settings; None where it cannot be made here (a missing package, say)."""
    try:
        task = TASKS.create(parse_spec(spec))
    except AudiometryError:
        return None
    return task.name, task.version, tuple(sorted(task.settings.items()))


@lru_cache(1)
def _registered() -> dict[str, tuple[str, dict[str, float]]]:
    """Version and weights of every registered suite that can be made."""
    found = {}
    for name in SUITES.names():
        try:
            suite = SUITES.create(parse_spec(name))
        except AudiometryError:
            continue
        found[name] = (suite.version, dict(suite.weights))
    return found


def tasks_of_suite(name: str, protocols: pd.DataFrame) -> SuiteTasks:
    """The tasks of a registered suite, or of `EVERY_TASK`, with the protocol of each in a store.

    `protocols` is from `Store.protocols`. A suite's task is the one of today's version and settings, asked in whole;
    where its samples changed, the newest. Of `EVERY_TASK`, the first protocol of each name counts.
    """
    whole = protocols[~protocols["limited"]]
    if name == EVERY_TASK:
        first = protocols.drop_duplicates("task")
        pairs = zip(first["task"], first["protocol"], strict=True)
        return SuiteTasks(name, "", tuple(Measured(str(task), str(task), 1.0, str(digest)) for task, digest in pairs))
    version, weights = _registered()[name]
    known: dict[tuple[str, str, tuple[tuple[str, str], ...]], str] = {}
    for row in records(whole):
        key = (row["task"], row["version"], tuple(sorted(row["settings"].items())))
        known.setdefault(key, row["protocol"])
    tasks = []
    for spec, weight in weights.items():
        identity = _identity(spec)
        task = spec.partition(":")[0] if identity is None else identity[0]
        tasks.append(Measured(spec, task, weight, None if identity is None else known.get(identity)))
    return SuiteTasks(name, version, tuple(tasks))


def measured_suites(protocols: pd.DataFrame) -> list[SuiteTasks]:
    """Registered suites of which at least one task was measured, the most complete first, then `EVERY_TASK`."""
    suites = [tasks_of_suite(name, protocols) for name in _registered()]
    some = [suite for suite in suites if suite.digests]
    some.sort(key=lambda suite: (len(suite.missing) / len(suite.tasks), -len(suite.tasks), suite.name))
    return [*some, tasks_of_suite(EVERY_TASK, protocols)]


@lru_cache(8)
def board_of(state: State, suite: SuiteTasks) -> pd.DataFrame:
    """`suite_ranking` by intervals, of what the store that `state` tells of holds; kept until it changes."""
    return suite_ranking(headlines(state, suite.digests), suite.weights)


@lru_cache(4)
def offered_suites(state: State) -> tuple[SuiteTasks, ...]:
    """`measured_suites` of the store that `state` tells of, and before them the first that ranks two models or more."""
    suites = measured_suites(queries.protocols(state))

    def ranks(suite: SuiteTasks) -> bool:
        return int((board_of(state, suite)["place"] == "ranked").sum()) > 1

    first = next((suite for suite in suites if ranks(suite)), suites[0])
    return (first, *(suite for suite in suites if suite.name != first.name))


@lru_cache(4)
def cells_of(state: State, suite: SuiteTasks) -> pd.DataFrame:
    """The suite's headlines of complete runs as cells of a heat map, kept until the store changes."""
    heads = headlines(state, suite.digests)
    return heat_cells(heads[heads["run_status"] == "complete"], "protocol")


def board_order(state: State, names: Sequence[str]) -> list[str]:
    """`names` of models in the order of the board that is offered first, those that are not on it last."""
    board = board_of(state, offered_suites(state)[0])
    known = set(names)
    first = [name for name in board["model"] if name in known]
    there = set(first)
    return [*first, *(name for name in names if name not in there)]


def interval_ranks(low: FloatArray, high: FloatArray, direction: str) -> tuple[IntArray, IntArray]:
    """The first and last rank that each model may have by its 95 % interval alone: see `board.rank_ranges`.

    By sorting, so that thousands of models take milliseconds.

    >>> first, last = interval_ranks(np.array([0.05, 0.06, 0.40]), np.array([0.08, 0.09, 0.45]), "lower")
    >>> first.tolist(), last.tolist()
    ([1, 1, 3], [2, 2, 3])
    """
    if direction == "higher":
        low, high = -high, -low
    lows, highs = np.sort(low[np.isfinite(low)]), np.sort(high[np.isfinite(high)])
    first = 1 + np.where(np.isfinite(low), np.searchsorted(highs, low, side="left"), 0)
    worse = np.where(np.isfinite(high), len(lows) - np.searchsorted(lows, high, side="right"), 0)
    return first.astype(np.int64), (len(low) - worse).astype(np.int64)


def suite_ranking(
    heads: pd.DataFrame,
    weights: Mapping[str, float],
    paired: Mapping[str, Mapping[str, tuple[int, int]]] | None = None,
) -> pd.DataFrame:
    """The suite's board, `SUITE_COLUMNS`: ranked models best first, then those that were not measured on all of it,
    then controls.

    `heads` are those of `queries.headlines`; `weights` are by protocol. `paired` gives, by protocol, each ranked
    model's ranks from a paired comparison; where a protocol is not in it, ranks come from `interval_ranks`.

    `mean_rank` is the weighted mean of the ranks by value (equal values share their mean rank), and `low` to `high` is
    where it may lie. `first` to `last` are the suite's ranks that a model may have, and models of one `tie_group`
    cannot be told from its best one. Only models with a value from a complete run on every protocol are ranked, and
    ranks count them alone.
    """
    import pandas as pd

    good = heads[(heads["run_status"] == "complete") & heads["value"].notna() & ~heads["control"]]
    asked = list(weights)
    grid = {name: _grid(good, name, asked) for name in ("value", "low", "high")}
    whole = grid["value"].dropna().index if len(good) else grid["value"].index
    models = [str(name) for name in whole]
    directions = dict(zip(heads["protocol"], heads["direction"], strict=True))
    share = np.array([weights[digest] for digest in asked], dtype=np.float64)
    share = share / share.sum() if len(share) else share
    point, low, high = np.zeros(len(models)), np.zeros(len(models)), np.zeros(len(models))
    for place, digest in enumerate(asked):
        if not models:
            break
        columns = [grid[name].loc[whole, digest].to_numpy(np.float64) for name in ("value", "low", "high")]
        by_value = pd.Series(columns[0]).rank(ascending=directions[digest] == "lower").to_numpy()
        if paired is not None and digest in paired:
            found = np.array([paired[digest][model] for model in models])
            first, last = found[:, 0], found[:, 1]
        else:
            first, last = interval_ranks(columns[1], columns[2], directions[digest])
        point += share[place] * by_value
        low += share[place] * first
        high += share[place] * last
    first, last = interval_ranks(low, high, "lower")
    ranked = pd.DataFrame({"model": models, "mean_rank": point, "low": low, "high": high, "first": first, "last": last})
    return _with_others(ranked, heads, len(asked))


def _grid(good: pd.DataFrame, name: str, asked: Sequence[str]) -> pd.DataFrame:
    table = good.pivot_table(
        index="model", columns="protocol", values=name, observed=True, dropna=False, aggfunc="first"
    )
    table.columns = table.columns.astype(str)
    return table.reindex(columns=list(asked))


def _with_others(ranked: pd.DataFrame, heads: pd.DataFrame, tasks: int) -> pd.DataFrame:
    """Ranks as texts, tie groups, and the models that are not ranked, each with what was measured of it."""
    import pandas as pd

    if heads.empty:
        return pd.DataFrame(columns=list(SUITE_COLUMNS))
    facts = _facts(heads)
    frame = facts.merge(ranked, on="model", how="left")
    ranks = frame["mean_rank"].notna()
    frame["place"] = np.where(frame["control"], "control", np.where(ranks, "ranked", "incomplete"))
    frame["tasks"] = tasks
    order = {"ranked": 0, "incomplete": 1, "control": 2}
    keys = pd.DataFrame({
        "place": frame["place"].map(order), "mean": frame["mean_rank"], "left": -frame["measured"],
        "model": frame["model"],
    })  # fmt: skip
    frame = frame.loc[keys.sort_values(["place", "mean", "left", "model"], kind="stable").index].reset_index(drop=True)
    texts, groups, group, leader = [], [], 0, -np.inf
    for row in records(frame):
        if row["place"] != "ranked":
            texts.append("")
            groups.append(0)
            continue
        if row["low"] > leader:  # surely worse than the best of the group before
            group, leader = group + 1, row["high"]
        ends = int(row["first"]), int(row["last"])
        texts.append(str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}")
        groups.append(group)
    return frame.assign(rank=texts, tie_group=groups)[list(SUITE_COLUMNS)]


def _facts(heads: pd.DataFrame) -> pd.DataFrame:
    """What was measured of each model: tasks with a value, samples, failures, where its runs come from."""
    import pandas as pd

    given = heads
    ok = given["value"].notna() & (given["run_status"] == "complete")
    frame = pd.DataFrame({
        "model": given["model"].astype(object), "measured": ok.astype(int), "n": given["n"], "failed": given["failed"],
        "control": given["control"].astype(bool), "newest": given["created"], "best": given["rtfx"],
        "worst": given["rtfx"],
    })  # fmt: skip
    how = {"measured": "sum", "n": "sum", "failed": "sum", "control": "any", "newest": "max", "best": "max"}
    facts = frame.groupby("model", sort=True).agg({**how, "worst": "min"}).reset_index()
    origins = given.groupby("model", observed=True)["origin"].agg(lambda some: "; ".join(sorted(set(some))))
    return facts.assign(origin=facts["model"].map({str(name): text for name, text in origins.items()}))


def find_models(board: pd.DataFrame, text: str, origins: Sequence[str] = ()) -> pd.DataFrame:
    """The rows whose model's name holds `text` (whatever its case), from one of `origins` where any are given.

    Ranks stay those among all models.
    """
    kept = board
    if text:
        kept = kept[kept["model"].str.contains(text, case=False, regex=False)]
    if origins:
        wanted = set(origins)
        kept = kept[[bool(wanted & set(found.split("; "))) for found in kept["origin"]]]
    return kept.reset_index(drop=True)
