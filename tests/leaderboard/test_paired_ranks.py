"""Ranks by paired comparison on the evidence of runs, and why there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from audiometry.benchmark.errors import DataError
from audiometry.benchmark.stats import rank_tables
from audiometry.benchmark.types import Task
from audiometry.leaderboard import paired_ranks
from audiometry.leaderboard.paired_ranks import read_table

AddRun = Callable[..., Path]


def sides(folder: Path, models: Sequence[str], n: int = 12) -> pd.DataFrame:
    return pd.DataFrame({"model": list(models), "run": "r", "folder": str(folder), "n": n})


def test_the_table_holds_what_the_run_counted(usual_run: Path) -> None:
    table = read_table(str(usual_run), "poor", "wer-tones")
    scores = pd.read_parquet(usual_run / "scores.parquet").query("model == 'poor'").sort_values("sample_id")
    assert len(table) == 12
    assert table.counts["deletions"].tolist() == scores["count.deletions"].tolist()
    assert table.clusters == 12


def test_places_are_those_of_the_statistics(installed_task: Task, usual_run: Path) -> None:
    models = ["good:beam=5", "also-good", "poor"]
    found = paired_ranks.paired_ranks("wer-tones", "1", sides(usual_run, models))
    tables = {name: read_table(str(usual_run), name, "wer-tones") for name in models}
    expected = {
        rank.name: (rank.low, rank.high, rank.tie_group)
        for rank in rank_tables(tables, installed_task.reduce, installed_task.metrics[0], seed=0)
    }
    assert found.reason == ""
    assert dict(found.places) == expected
    assert found.places["poor"] == (3, 3, 2)


def test_pairs_tell_apart_what_intervals_do_not(installed_task: Task, add_run: AddRun, clips: list[Any]) -> None:
    """One more error in every clip, on clips that are hard alike: intervals overlap, pairs do not."""
    chance = np.random.default_rng(0)
    first = [" ".join(clip.text.split()[int(chance.integers(1, 4)) :]) for clip in clips]
    second = [" ".join(text.split()[1:]) for text in first]
    folder = add_run({"a": first, "b": second})
    found = paired_ranks.paired_ranks("wer-tones", "1", sides(folder, ["a", "b"]))
    assert (found.places["a"][:2], found.places["b"][:2]) == ((1, 1), (2, 2))


def test_more_tasks_at_once_tell_no_more(installed_task: Task, usual_run: Path) -> None:
    rows = sides(usual_run, ["good:beam=5", "also-good", "poor"])
    alone = paired_ranks.paired_ranks("wer-tones", "1", rows)
    among = paired_ranks.paired_ranks("wer-tones", "1", rows, families=20)
    for name, place in alone.places.items():
        assert among.places[name].first <= place.first
        assert among.places[name].last >= place.last


def test_one_model_is_first(usual_run: Path) -> None:
    assert paired_ranks.paired_ranks("wer-tones", "1", sides(usual_run, ["poor"])).places["poor"] == (1, 1, 1)


def test_why_there_are_no_pairs(installed_task: Task, usual_run: Path, tmp_path: Path) -> None:
    two = ["good:beam=5", "poor"]

    def reason(rows: pd.DataFrame, spec: str = "wer-tones", version: str = "1") -> str:
        found = paired_ranks.paired_ranks(spec, version, rows)
        assert not found.places
        return found.reason

    assert reason(sides(usual_run, two), spec="gone") == "the task is not installed here"
    assert "version 1 today, and these runs are of version 0" in reason(sides(usual_run, two), version="0")
    assert "cannot be read" in reason(sides(tmp_path / "gone", two))
    assert "do not hold each sample" in reason(sides(usual_run, ["poor", "nobody"]))
    many = [f"m{i}" for i in range(paired_ranks.MOST_MODELS + 1)]
    assert f"more than {paired_ranks.MOST_MODELS}" in reason(sides(usual_run, many))
    assert "samples in all" in reason(sides(usual_run, two, n=paired_ranks.MOST_SAMPLES))


def test_evidence_that_is_mended_is_read_again(installed_task: Task, usual_run: Path) -> None:
    file, away = usual_run / "scores.parquet", usual_run / "away"
    file.rename(away)
    rows = sides(usual_run, ["good:beam=5", "poor"])
    assert paired_ranks.paired_ranks("wer-tones", "1", rows).reason
    away.rename(file)
    assert not paired_ranks.paired_ranks("wer-tones", "1", rows).reason


def test_a_sample_twice_is_no_evidence(usual_run: Path) -> None:
    file = usual_run / "scores.parquet"
    scores = pd.read_parquet(file)
    pd.concat([scores, scores.tail(1)]).to_parquet(file)
    with pytest.raises(DataError, match="each sample of wer-tones once"):
        read_table(str(usual_run), "silent", "wer-tones")
