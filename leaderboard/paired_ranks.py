"""Ranks of models within one task, by comparing them sample by sample on the evidence that their runs kept.

All models are compared on the same samples at once (`audiometry.benchmark.stats.rank_tables`), which tells apart more
than intervals do. Where that cannot be done the reason is given, and ranks come from intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiometry.benchmark.columns import Columns, Counted
from audiometry.benchmark.errors import AudiometryError, DataError, UnknownNameError
from audiometry.benchmark.registry import TASKS, parse_spec
from audiometry.benchmark.stats import rank_tables
from audiometry.benchmark.types import ScoreTable, Task
from audiometry.leaderboard import queries

if TYPE_CHECKING:
    import pandas as pd

    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.suite_board import SuiteTasks

__all__ = [
    "HEADLINE_ALONE",
    "LEVEL",
    "MOST_MODELS",
    "MOST_SAMPLES",
    "PairedRanks",
    "Place",
    "SuitePairs",
    "how_ranked",
    "pair_suite",
    "pair_task",
    "paired_ranks",
    "read_table",
]

LEVEL = 0.95

MOST_MODELS = 40
"""Models compared at once on a page: pairs grow with the square, and every pair has two thousand resamples."""

MOST_SAMPLES = 100_000
"""Samples, over all models of a task, that a page reads for it."""

RESAMPLES = 2000
SEED = 0


HEADLINE_ALONE = "only a task's headline is compared in pairs here"
"""Why other metrics are ranked by intervals."""


class Place(NamedTuple):
    """The ranks that a model may have, and its tie group."""

    first: int
    last: int
    tie_group: int


class PairedRanks(NamedTuple):
    """Every model's place by paired comparison, or why there is none."""

    places: Mapping[str, Place]
    reason: str
    """Empty where there are places."""


class SuitePairs(NamedTuple):
    """Ranks by paired comparison on a suite's tasks, by protocol and model, and why there are none on the others."""

    places: Mapping[str, Mapping[str, tuple[int, int]]]
    reasons: Mapping[str, str]


def paired_ranks(spec: str, version: str, rows: pd.DataFrame, *, families: int = 1) -> PairedRanks:
    """Rank models on one protocol's headline by what their runs kept of every sample.

    `rows` has the columns model, run, folder and n, one row a model that may be ranked. `spec` names the task as on the
    command line; it must be installed here in that `version`. With `families`, the number of tasks looked at together,
    the ranges of all of them are right at once with probability `LEVEL` (Bonferroni). What was found is kept in memory
    by runs.
    """
    if len(rows) > MOST_MODELS:
        return PairedRanks({}, f"{len(rows):,} models: more than {MOST_MODELS} are not compared in pairs here")
    sides = tuple(sorted((str(row.model), str(row.folder), str(row.run)) for row in rows.itertuples()))
    if len(sides) < 2:
        return PairedRanks({name: Place(1, 1, 1) for name, _, _ in sides}, "")
    if int(rows["n"].sum()) > MOST_SAMPLES:
        return PairedRanks({}, f"more than {MOST_SAMPLES:,} samples in all are not compared in pairs here")
    try:
        return PairedRanks(_places(spec, version, sides, families), "")
    except UnknownNameError:
        return PairedRanks({}, "the task is not installed here")
    except AudiometryError as error:
        return PairedRanks({}, str(error))


@lru_cache(1024)
def _places(spec: str, version: str, sides: tuple[tuple[str, str, str], ...], families: int) -> Mapping[str, Place]:
    task = _task(spec, version)
    tables = {model: read_table(folder, model, task.name) for model, folder, _ in sides}
    ranks = rank_tables(
        tables, task.reduce, task.metrics[0], seed=SEED, level=1 - (1 - LEVEL) / families,
        resamples=max(RESAMPLES, 200 * families),
    )  # fmt: skip
    return {rank.name: Place(rank.low, rank.high, rank.tie_group) for rank in ranks}


def pair_task(store: Store, task: str, rows: pd.DataFrame) -> PairedRanks:
    """`paired_ranks` of the models that are ranked on a task's headline; `rows` is from `board.ranking`."""
    ranked = rows[rows["place"] == "ranked"]
    if len(ranked) < 2:
        return PairedRanks({}, "")
    run = str(ranked["run"].iloc[0])
    found = next(one for one in queries.documents(store, [run])[run]["tasks"] if one["name"] == task)
    return paired_ranks(str(found.get("spec", task)), str(found["version"]), ranked)


def how_ranked(pairs: PairedRanks) -> str:
    """Which way the ranks of a task were found, for the table's caption."""
    if pairs.places:
        return "Ranks by paired comparison, sample by sample."
    return "Ranks by overlap of 95 % intervals" + (f" ({pairs.reason})." if pairs.reason else ".")


def pair_suite(
    store: Store, suite: SuiteTasks, heads: pd.DataFrame, ranked: Sequence[str], protocols: pd.DataFrame
) -> SuitePairs:
    """`paired_ranks` of the models `ranked` on every measured task of a suite.

    `heads` are the suite's `queries.headlines`, `protocols` is from `Store.protocols`.
    """
    if len(ranked) > MOST_MODELS:
        reason = f"{len(ranked):,} models: more than {MOST_MODELS} are not compared in pairs here"
        return SuitePairs({}, dict.fromkeys(suite.digests, reason))
    places: dict[str, Mapping[str, tuple[int, int]]] = {}
    reasons: dict[str, str] = {}
    kept = heads[heads["model"].isin(ranked)]
    versions = dict(zip(protocols["protocol"], protocols["version"], strict=True))
    specs = _specs(store, kept) if len(ranked) > 1 else {}
    for measured in suite.tasks:
        digest = measured.protocol
        if digest is None or len(ranked) < 2:
            continue
        spec = specs.get(digest, measured.spec)
        found = paired_ranks(spec, versions[digest], kept[kept["protocol"] == digest], families=len(suite.digests))
        if found.places:
            places[digest] = {name: (place.first, place.last) for name, place in found.places.items()}
        else:
            reasons[digest] = found.reason
    return SuitePairs(places, reasons)


def _specs(store: Store, heads: pd.DataFrame) -> dict[str, str]:
    """How a run asked for each protocol's task on the command line, by digest."""
    first = heads.drop_duplicates("protocol")
    found = queries.documents(store, [str(run) for run in first["run"].unique()])
    return {
        str(row.protocol): str(task.get("spec", task["name"]))
        for row in first.itertuples()
        for task in found[str(row.run)]["tasks"]
        if task["name"] == row.task
    }


def _task(spec: str, version: str) -> Task:
    """Today's task, from what is installed: a run's own plug-in files are not loaded for a page."""
    task = TASKS.create(parse_spec(spec))
    if task.version != version:
        raise DataError(f"task {task.name!r} is version {task.version} today, and these runs are of version {version}")
    return task


def read_table(folder: str, model: str, task: str) -> ScoreTable:
    """The scores of one model on one task, by the samples' names, from the run folder at `folder` (any fsspec path).

    Raises DataError if the folder is gone, holds no such evidence, or a sample twice.
    """
    import fsspec
    import pyarrow.parquet as pq

    path = f"{folder}/scores.parquet"
    try:
        with fsspec.open(path, "rb") as file:
            names = pq.read_schema(file).names
            wanted = [name for name in names if name.startswith("count.")]
            table = pq.read_table(
                file, columns=["sample_id", "status", "cluster", "stratum", *wanted],
                filters=[("model", "=", model), ("task", "=", task)],
            )  # fmt: skip
    except (OSError, ValueError, ImportError) as error:
        raise DataError(f"the scores of run {Path(folder).name} cannot be read") from error
    frame = table.to_pandas().sort_values("sample_id", kind="stable")
    if frame.empty or not frame["sample_id"].is_unique:
        raise DataError(f"the scores of run {Path(folder).name} do not hold each sample of {task} once")
    counts = {name.removeprefix("count."): frame[name].to_numpy(np.float64) for name in wanted}
    known = {name: values.tolist() for name, values in counts.items() if np.isfinite(values).any()}
    lines = [dict(zip(known, numbers, strict=True)) for numbers in zip(*known.values(), strict=True)]
    lines = [{name: number for name, number in line.items() if np.isfinite(number)} for line in lines]
    columns = Columns()
    facts = zip(frame["status"], frame["cluster"], frame["stratum"], lines, strict=True)
    columns.extend([
        Counted(place, status, cluster or "", stratum or "", counted, {})
        for place, (status, cluster, stratum, counted) in enumerate(facts)
    ])  # fmt: skip
    return columns.table()
