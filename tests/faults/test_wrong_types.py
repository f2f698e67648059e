"""Outputs with values of a wrong type: that sample is named with its reason, and nothing else is lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiometry.benchmark.evaluate import Evaluation, evaluate
from audiometry.benchmark.plan import RunSettings

PLUGIN = str(Path(__file__).with_name("breaking.py"))

HARMLESS = ("noise", "numpy", "tuple")
MISSPELT = "surrogate"
NOT_FINITE = "that is not a finite number"
TOLD: dict[str, tuple[str, str]] = {
    "nan-sound": ("error", "the model returned sound that is not of finite numbers"),
    "word-score": ("error", NOT_FINITE),
    "word-label": ("error", NOT_FINITE),
    "number-text": ("error", "the model returned text of type int"),
    "bytes-text": ("error", "the model returned text of type bytes"),
    "status": ("error", "the model returned the unknown status 'splendid'"),
    "list-labels": ("error", "the model returned "),
    "array-sound": ("error", "the model returned sound of type ndarray"),
    "object-embedding": ("error", "the model returned an embedding that is not of finite numbers"),
}

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here", "home")]


def run(faults: dict[str, tuple[str, str]], folder: Path, *, model: str = "breaking", **more: Any) -> Evaluation:
    """Ask for words of which every third breaks the model in another way."""
    settings = RunSettings(
        models=(model,), tasks=(f"perils:ways={'+'.join(faults)}",), plugins=(PLUGIN,), resamples=100, max_failures=1.0,
    )  # fmt: skip
    return evaluate(replace(settings, **more), output=folder, quiet=True)


def check(done: Evaluation, faults: dict[str, tuple[str, str]]) -> None:
    """Every sample was answered and counted once; only what breaks is marked, with its reason, and scores wrong."""
    outputs = pd.read_parquet(done.folder / "outputs.parquet").set_index("sample_id")
    scores = pd.read_parquet(done.folder / "scores.parquet").set_index("sample_id")
    asked = {f"{place}{way}" for way in faults for place in ("before ", "", "after ")}
    assert outputs.index.is_unique
    assert set(outputs.index) == set(scores.index) == asked
    mates = outputs.drop(list(faults))
    assert set(mates["status"]) == {"ok"}
    assert list(mates["text"]) == list(mates.index)
    told = {way: (outputs["status"][way], outputs["error"].fillna("")[way]) for way in faults}
    assert {way: status for way, (status, _) in told.items()} == {way: status for way, (status, _) in faults.items()}
    assert {way: reason for way, (_, reason) in told.items() if faults[way][1] not in reason} == {}
    broken = {way for way, (status, _) in faults.items() if status != "ok" or way == MISSPELT}
    assert set(scores.index[scores["count.wrong"] == 1.0]) == broken
    (overall,) = done.results
    failed = sum(status in ("error", "timeout") for status, _ in faults.values())
    assert (done.status, overall.n, overall.failed, overall.empty) == (
        "complete", len(asked), failed, sum(status == "empty" for status, _ in faults.values()),
    )  # fmt: skip
    assert overall.value == pytest.approx(len(broken) / len(asked), abs=1e-12)


def test_values_of_a_wrong_type_cost_one_sample(tmp_path: Path) -> None:
    faults = TOLD | dict.fromkeys(HARMLESS, ("ok", ""))
    check(run(faults, tmp_path / "run"), faults)
