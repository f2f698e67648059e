"""Models that break at one sample in every way we know: that sample is named with its reason, nothing else is lost."""

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
"""Half a character: an answer, and a wrong one."""

NOT_FINITE = "that is not a finite number"
TOLD: dict[str, tuple[str, str]] = {
    "raise": ("error", "RuntimeError: a poisonous sample (breaking.py:"),
    "mute": ("error", "MuteError"),
    "loaded": ("error", "LoadedError: this and that"),
    "sysexit": ("error", "SystemExit: the model had enough"),
    "interrupt": ("error", "KeyboardInterrupt"),
    "strange": ("error", "StrangeError: not an Exception"),
    "recursion": ("error", "RecursionError: maximum recursion depth exceeded"),
    "memory": ("error", "MemoryError"),
    "few": ("error", "the model returned 0 outputs for 1 requests"),
    "many": ("error", "the model returned 2 outputs for 1 requests"),
    "nothing": ("error", "the model returned NoneType and not a list of outputs"),
    "generator": ("error", "the model returned generator and not a list of outputs"),
    "number": ("error", "the model returned int and not a list of outputs"),
    "texts": ("error", "the model returned str in place of an Output"),
    "gap": ("error", "the model returned NoneType in place of an Output"),
    "nan": ("error", NOT_FINITE),
    "nan-label": ("error", NOT_FINITE),
    "nan-time": ("error", NOT_FINITE),
    "nan-usage": ("error", NOT_FINITE),
    "nan-segment": ("error", NOT_FINITE),
    "none-text": ("empty", ""),
}
DEADLY: dict[str, tuple[str, str]] = {
    "segfault": ("error", "the worker died"),
    "exit": ("error", "the worker died"),
    "hang": ("timeout", "no answer within 2 s"),
}
WRONG_TYPES: dict[str, tuple[str, str]] = {
    "nan-sound": ("error", "the model returned sound that is not of finite numbers"),
    "word-score": ("error", NOT_FINITE),
    "word-label": ("error", NOT_FINITE),
    "number-text": ("error", "the model returned text of type int"),
    "bytes-text": ("error", "the model returned text of type bytes"),
    "negative-time": ("error", "the model returned a time below 0 (-0.5 s)"),
    "backward-segment": ("error", "the model returned a segment that ends before it starts (2 to 1 s)"),
    "number-segment": ("error", "the model returned a segment with a label of type int"),
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


def checked(done: Evaluation, faults: dict[str, tuple[str, str]]) -> int:
    """Assert that every sample was answered once, and that only what breaks is marked, with its reason, and wrong.

    Returns how many samples failed.
    """
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
    return overall.failed


@pytest.mark.parametrize("batch_size", [1, 32])
def test_what_a_model_raises_or_returns_costs_one_sample(tmp_path: Path, batch_size: int) -> None:
    faults = TOLD | dict.fromkeys((*HARMLESS, MISSPELT), ("ok", ""))
    done = run(faults, tmp_path / "run", batch_size=batch_size)
    assert checked(done, faults) == sum(status in ("error", "timeout") for status, _ in TOLD.values())


def test_what_takes_the_worker_along_costs_one_sample(tmp_path: Path) -> None:
    done = run(DEADLY, tmp_path / "run", model="breaking:seconds=0.1", batch_size=3, sample_timeout=2.0)
    assert checked(done, DEADLY) == len(DEADLY)


def test_values_of_a_wrong_type_cost_one_sample(tmp_path: Path) -> None:
    faults = WRONG_TYPES | dict.fromkeys(HARMLESS, ("ok", ""))
    assert checked(run(faults, tmp_path / "run"), faults) == len(WRONG_TYPES)
