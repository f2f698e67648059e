"""Whole runs of the `openai` adapter: the endpoint's faults against scores and evidence, and where the key is."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from audiometry.benchmark import cli
from audiometry.benchmark.evaluate import Evaluation, evaluate
from audiometry.benchmark.plan import RunSettings

SECRET = "sk-test-4f1d7c2a9b8e6503"

pytestmark = pytest.mark.slow

Run = Callable[..., Evaluation]


@pytest.fixture
def run(home: Path, endpoint: Any, manifest: Callable[[int], str], tmp_path: Path) -> Run:
    """Ask the endpoint for so many transcripts: (count, settings of the model …) → evaluation."""

    def ran(count: int, *, faults: Callable[[list[str]], dict[str, Any]] = lambda _: {}, **settings: str) -> Evaluation:
        task = manifest(count)
        endpoint.faults = faults(list(endpoint.transcripts))
        given = {"model": "tiny", "url": endpoint.url} | settings
        spec = f"openai:{','.join(f'{name}={value}' for name, value in given.items())}"
        return evaluate(RunSettings(models=(spec,), tasks=(task,), resamples=200), output=tmp_path / "run", quiet=True)

    return ran


def outputs(done: Evaluation) -> pd.DataFrame:
    return pd.read_parquet(done.folder / "outputs.parquet").set_index("sample_id")


def overall(done: Evaluation) -> Any:
    return next(result for result in done.results if (result.metric, result.slice) == ("wer", "all"))


def test_eleven_that_always_fail_are_named_and_counted(run: Run, server: Any) -> None:
    bad = random.Random(3).sample(range(500), 11)
    done = run(500, faults=lambda known: {known[n]: server.Fault(times=None) for n in bad}, retries="1")
    found = outputs(done)
    assert done.status == "complete"
    assert dict(found["status"].value_counts()) == {"ok": 489, "error": 11}
    failed = found[found["status"] == "error"]
    assert sorted(failed.index) == sorted(f"clip-{n:03}" for n in bad)
    assert set(failed["error"]) == {"the server answered 500: the server had an error (2 attempts)"}
    result = overall(done)
    assert (result.n, result.failed, result.empty) == (500, 11, 0)
    assert result.value == pytest.approx(11 / 500)  # each of equal length: all deletions, not dropped
    assert list(found.loc[sorted(set(found.index) - set(failed.index)), "text"]) == [
        f"this is clip {n}" for n in range(500) if n not in bad
    ]


def test_thirteen_that_fail_once_are_all_scored(run: Run, server: Any) -> None:
    bad = random.Random(4).sample(range(500), 13)
    done = run(500, faults=lambda known: {known[n]: server.Fault() for n in bad})
    result = overall(done)
    assert (done.status, result.n, result.failed, result.value) == ("complete", 500, 0, 0.0)
    told = json.loads((done.folder / "run.json").read_text())
    assert told["timings"][0]["usage"]["attempts"] == 513.0
    assert told["timings"][0]["usage"]["output_tokens"] == 500 * 30.0


def test_ten_that_stall_cost_a_timeout_and_no_sample(run: Run, server: Any) -> None:
    bad = random.Random(5).sample(range(500), 10)
    start = time.monotonic()
    done = run(500, faults=lambda known: {known[n]: server.Fault("stall", seconds=10.0) for n in bad}, timeout="2")
    assert time.monotonic() - start < 60.0  # the target, 12 s, is for a machine with nothing else to do
    result = overall(done)
    assert (done.status, result.n, result.failed, result.value) == ("complete", 500, 0, 0.0)


def test_the_key_is_nowhere(
    run: Run, endpoint: Any, server: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("SECOND_KEY", SECRET)
    endpoint.key = SECRET
    echo = json.dumps({"error": {"message": f"{SECRET} is not allowed: {SECRET[:12]}"}}).encode()
    sent = {"X-Key": SECRET, "Content-Type": f"application/{SECRET}"}

    def faults(known: list[str]) -> dict[str, Any]:
        endpoint.transcripts[known[0]] = f"the key is {SECRET}"
        return {
            known[1]: server.Fault(status=400, body=echo, headers=sent),
            known[2]: server.Fault(status=200, body=SECRET.encode(), headers=sent),
        }

    done = run(40, faults=faults, key_env="SECOND_KEY")
    assert dict(outputs(done)["status"].value_counts()) == {"ok": 38, "error": 2}
    told = "".join(capfd.readouterr())
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"run.json", "outputs.parquet", "scores.parquet", "results.json", "store.db"} <= {
        file.name for file in files
    }
    for shape in (SECRET, SECRET[:12], base64.b64encode(SECRET.encode()).decode()):
        assert shape not in told
        assert not [file for file in files if shape.encode() in file.read_bytes()]
    everything = json.dumps([outputs(done).astype(str).to_dict(), (done.folder / "run.json").read_text()])
    assert SECRET[:12] not in everything  # Parquet may be packed
    assert "the key is [key]" in everything


@pytest.mark.parametrize("setting", [f"key={SECRET}", f"key_env={SECRET}", f"url=http://u:{SECRET}@localhost/v1"])
def test_a_key_that_is_typed_is_refused_and_not_kept(
    home: Path, manifest: Callable[[int], str], setting: str, capfd: Any
) -> None:
    assert cli.main(["run", "-m", f"openai:model=tiny,{setting}", "-t", manifest(2)]) == 2
    assert SECRET not in "".join(capfd.readouterr())
    assert not [file for file in home.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
