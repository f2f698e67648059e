"""Runs of detectors and of groups with known scores, put into a store: for pages and what they give away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from audiometry.benchmark.registry import task
from audiometry.benchmark.stats import mean_of
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Metric, Result, ScoreTable, Task
from audiometry.tasks.spoof_reduce import SpoofPlan, spoof_metrics, spoof_reduce, trial_counts

EVIL = "<script>alert(1)</script>"
PLAN = SpoofPlan(("A01", "A02"))
SPREAD = {"good": 3.0, "poor": 0.5, "shortcut": 0.2}
GROUPED = "gap-made"


@task(GROUPED)
def gap_made() -> Task:
    """A mean of errors, for groups that are told apart and groups that are not."""
    return Task(
        name=GROUPED, version="1", ability="transcribe", samples=lambda: iter(()), score=lambda *_: None,  # type: ignore[arg-type,return-value]
        reduce=lambda table, weights: {"errors": mean_of(table, weights, "wrong")},
        metrics=(Metric("worst_errors"), Metric("errors")),
    )  # fmt: skip


def document(run: str, name: str, models: Sequence[str], settings: dict[str, str], samples: int) -> dict[str, Any]:
    return {
        "id": run, "fingerprint": "f" * 64, "created": "2026-11-22T15:55:01+00:00", "finished": None,
        "status": "complete", "seed": 0, "limit": None, "settings": {"plugins": []},
        "models": [
            {"name": model, "spec": model, "fingerprint": "x", "control": model == "shortcut", "settings": {}}
            for model in models
        ],
        "tasks": [{
            "name": name, "spec": name, "version": "1", "settings": settings, "notes": ["made trials"], "metrics": [],
            "samples": samples, "digest": f"d-{name}",
        }],
        "timings": [],
    }  # fmt: skip


def result(run: str, model: str, name: str, metric: Metric, value: float, n: int, group: str = "all") -> Result:
    return Result(
        run=run, model=model, task=name, task_version="1", metric=metric.name, slice=group, value=value,
        low=max(0.0, value - 0.05), high=value + 0.05, n=n, failed=0, control=model == "shortcut", unit=metric.unit,
        direction=metric.direction, notes=("made trials",),
    )  # fmt: skip


def add_spoof(folder: Path, store_url: str, spread: dict[str, float], name: str = "spoof-made") -> dict[str, Any]:
    """A run of detectors with known scores on 30 bona fide trials and 2 x 20 spoofs; the task's numbers by model."""
    folder.mkdir(parents=True)
    sound = folder / "tone.wav"
    soundfile.write(sound, 0.3 * np.sin(np.arange(8000) / 8).astype(np.float32), 16_000)
    trials = [("", i) for i in range(30)] + [(attack, i) for attack in PLAN.attacks for i in range(20)]
    scores, outputs, results, values = [], [], [], {}
    for place, (model, between) in enumerate(spread.items()):
        rng = np.random.default_rng(place)
        drawn = [float(rng.normal(0.0 if attack else between, 1.0)) for attack, _ in trials]
        counts = [trial_counts(PLAN, attack, (), score) for (attack, _), score in zip(trials, drawn, strict=True)]
        for (attack, i), count, score in zip(trials, counts, drawn, strict=True):
            key = {"model": model, "task": name, "sample_id": f"{attack or 'real'}-{i:02d}", "status": "ok"}
            scores.append(key | {f"count.{what}": value for what, value in count.items()} | {
                "cluster": key["sample_id"], "stratum": attack, "detail.attack": attack,
                "slice.half": "ab"[i % 2]})  # fmt: skip
            outputs.append(key | {
                "text": None, "score": score, "error": None, "total_seconds": 0.01, "audio": str(sound),
                "audio_start": 0.0, "audio_end": None, "audio_seconds": 0.5})  # fmt: skip
        columns = {what: np.array([count[what] for count in counts]) for what in counts[0]}
        rows = np.arange(len(counts))
        table = ScoreTable(columns, rows, np.zeros(len(rows), int), np.zeros(len(rows), int))
        values[model] = {
            what: float(value[0]) for what, value in spoof_reduce(PLAN)(table, np.ones((1, len(rows)))).items()
        }  # fmt: skip
        results += [
            result("spoof-run", model, name, metric, values[model][metric.name], len(rows))
            for metric in spoof_metrics(PLAN)
        ]
    pd.DataFrame(scores).to_parquet(folder / "scores.parquet")
    pd.DataFrame(outputs).to_parquet(folder / "outputs.parquet")
    run = document("spoof-run", name, list(spread), {"level": "E4", "protocol": "unseen-attack"}, len(trials))
    with Store.open(store_url) as store:
        store.add_run(run, results, str(folder))
    return values


def add_groups(folder: Path, store_url: str) -> None:
    """A run in which the old fare worse and the halves do not."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = [
        {"model": "mine", "task": GROUPED, "sample_id": f"s{i:03d}", "status": "ok", "cluster": f"s{i}", "stratum": "",
         "count.wrong": float(rng.random() < (0.7 if i % 3 == 0 else 0.1)),
         "slice.age": "old" if i % 3 == 0 else "young", "slice.half": "ab"[i % 2]}
        for i in range(120)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_parquet(folder / "scores.parquet")
    run = document("group-run", GROUPED, ["mine"], {}, len(rows))
    (folder / "run.json").write_text(json.dumps(run))
    results = []
    for metric in (Metric("worst_errors"), Metric("errors")):
        for group in ("all", "age=old", "age=young", "half=a", "half=b"):
            by, _, value = group.partition("=")
            part = table if group == "all" else table[table[f"slice.{by}"] == value]
            results.append(result("group-run", "mine", GROUPED, metric, part["count.wrong"].mean(), len(part), group))
    with Store.open(store_url) as store:
        store.add_run(run, results, str(folder))
