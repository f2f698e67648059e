"""A plug-in file for the gate's tests: a task, and finished runs of it written by hand."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import mean_of, ratio_of_sums
from audiometry.benchmark.types import Metric, Task

METRICS = (
    Metric("wer", scale="log", events="errors"),
    Metric("accuracy", direction="higher", high=1.0),
    Metric("level", unit="dB", direction="higher", low=float("-inf")),
)


def _reduce(table, weights):
    return {
        "wer": ratio_of_sums(table, weights, "errors", "words"),
        "accuracy": mean_of(table, weights, "right"),
        "level": mean_of(table, weights, "errors"),
    }


def _task(name):
    return Task(
        name=name, version="1", ability="transcribe", samples=lambda: [], score=lambda sample, output: None,
        reduce=_reduce, metrics=METRICS,
    )  # fmt: skip


@task("pairs")
def pairs() -> Task:
    """Scores written by hand."""
    return _task("pairs")


@task("more-pairs")
def more_pairs() -> Task:
    """More scores written by hand."""
    return _task("more-pairs")


@task("gated-that-breaks")
def breaks() -> Task:
    """Scores whose reduction raises."""

    def reduce(table, weights):
        raise ZeroDivisionError("no words\nat all")

    return replace(_task("gated-that-breaks"), reduce=reduce)


@task("gated-that-leaves")
def leaves() -> Task:
    """Scores whose reduction ends the process, as if all were well."""
    return replace(_task("gated-that-leaves"), reduce=lambda table, weights: sys.exit(0))


def write_run(
    folder, errors, *, words=10.0, groups=None, failed=0, status="complete", tasks=("pairs",), models=("m",), **changes
):
    """Write a run folder in which every model makes `errors` on each task; the first `failed` samples failed."""
    rows = [
        {
            "model": model, "task": name, "sample_id": f"s{i:04d}", "status": "error" if i < failed else "ok",
            "cluster": None, "stratum": "", "count.errors": float(count), "count.words": float(words),
            "count.right": float(count == 0), "slice.group": None if groups is None else groups[i],
        }
        for model in models for name in tasks for i, count in enumerate(errors)
    ]  # fmt: skip
    measured = {"version": "1", "settings": {}, "samples": len(errors), "digest": "d"} | changes
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "scores.parquet")
    document = {
        "id": f"run-{folder.name}", "fingerprint": f"f-{folder.name}", "created": "2026-11-22T15:55:01+00:00",
        "finished": "2026-11-22T16:55:01+00:00", "status": status, "seed": 0, "limit": None,
        "settings": {"plugins": [str(Path(__file__))]}, "timings": [],
        "models": [
            {"name": model, "spec": model, "fingerprint": "f", "control": False, "settings": {}} for model in models
        ],
        "tasks": [{"name": name, "spec": name} | measured for name in tasks],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(document))
    (folder / "results.json").write_text(json.dumps({"run": document["fingerprint"], "results": []}))
    return folder
