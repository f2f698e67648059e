"""The driver is killed, stopped or interrupted again and again, and its run goes on until it is complete."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pandas as pd
import pytest

from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.store import Store

HERE = Path(__file__).parent
COUNT = 400
MODEL, TASK = "breaking:seconds=0.02", f"sayings:count={COUNT}"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def calm(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """`results.json` of the same run, undisturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(tmp_path_factory.mktemp("calm") / "home"))
        patch.delenv("AUDIOMETRY_STORE", raising=False)
        settings = RunSettings(models=(MODEL,), tasks=(TASK,), plugins=(str(HERE / "breaking.py"),), resamples=100)
        folder = evaluate(settings, output=tmp_path_factory.mktemp("calm") / "run", quiet=True).folder
        return (folder / "results.json").read_bytes()


def journaled(folder: Path) -> list[str]:
    """Samples in whole lines of the journal."""
    whole = (folder / "journal.jsonl").read_bytes().split(b"\n")[:-1]
    return [json.loads(line)[3] for line in whole]


def check(folder: Path, calm: bytes, store: Path) -> None:
    """The run is complete, its numbers are those of the undisturbed one, and every sample was counted once."""
    assert (folder / "results.json").read_bytes() == calm
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"
    for name in ("outputs.parquet", "scores.parquet"):
        frame = pd.read_parquet(folder / name)
        assert sorted(frame["sample_id"]) == [f"word{i:04d}" for i in range(COUNT)]
        assert set(frame["status"]) == {"ok"}
    assert not list(folder.glob("*journal*"))
    with Store.open(f"sqlite:///{store}") as opened:
        assert list(opened.runs()["status"]) == ["complete"]
        assert len(opened.results()) == len(json.loads(calm)["results"])


def points(seed: int) -> list[str]:
    """Twenty random moments to die, of every phase: planning, Ray's start, asking, journaling, writing, storing."""
    chance = random.Random(seed)
    early = [f"SIGKILL@_go+{chance.randrange(60)}", *(f"SIGKILL@{name}+{chance.randrange(30)}" for name in
             ("plan_tasks", "check_writable", "recall"))]  # fmt: skip
    starting = [f"SIGKILL@ray_cluster+{chance.uniform(0.05, 1.5):.2f}s" for _ in range(3)]
    asking = [f"SIGKILL@_encoded:{chance.randint(40, 90)}+{chance.randrange(30)}" for _ in range(4)] + ["torn@2"]
    writing = ["SIGKILL@finish+0"] + [
        f"SIGKILL@{name}+{chance.randrange(calls)}" for name, calls in
        (("finish", 200), ("write_evidence", 400), ("write_evidence", 2000), ("write_results", 5), ("write_json:2", 3),
         ("add_run", 40), ("_insert_run", 20))
    ]  # fmt: skip
    return early + starting + asking + writing


def test_twenty_kills_of_the_driver(cli, calm: bytes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    moments = points(seed=20)
    assert len(moments) == 20
    folder = tmp_path / "run"
    words = cli.words("-m", MODEL, "-t", TASK, "-b", "4", "--no-cache", "-o", str(folder))
    before: list[str] = []
    sizes: list[int] = []
    for moment in moments:
        ended = cli.run(words, fault=moment)
        assert ended.code == -signal.SIGKILL, (moment, ended)
        kept = journaled(folder)
        assert kept[: len(before)] == before, moment
        assert len(set(kept)) == len(kept), moment
        sizes.append(len(kept))
        before = kept
        words = ["run", "--resume", str(folder), "--json", "--quiet"]
    assert sizes.count(0) >= 7, sizes
    assert sizes.count(COUNT) >= 7, sizes
    assert len({size for size in sizes if 0 < size < COUNT}) >= 4, sizes
    ended = cli.run(words)
    assert ended.code == 0, ended
    assert json.loads(ended.out)["results"] == json.loads(calm)["results"]
    check(folder, calm, cli.home / "store.db")
    assert cli.wait_until_nothing_is_left(90.0) == []


def test_signals_leave_a_run_that_can_be_gone_on_with(cli, calm: bytes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    chance = random.Random(2)
    folder = tmp_path / "run"
    words = cli.words("-m", MODEL, "-t", TASK, "-b", "4", "--no-cache", "-o", str(folder))
    before: list[str] = []
    for moment, codes in {
        f"SIGINT@ray_cluster+{chance.uniform(0.05, 1.5):.2f}s": {130},
        f"SIGINT*2@_encoded:{chance.randint(40, 90)}+{chance.randrange(30)}": {130},
        f"SIGTERM@_encoded:{chance.randint(40, 90)}+{chance.randrange(30)}": {130},
    }.items():
        ended = cli.run(words, fault=moment)
        assert ended.code in codes, (moment, ended)
        assert "Traceback" not in ended.err, (moment, ended)
        assert ended.out == "", (moment, ended)
        kept = journaled(folder)
        assert kept[: len(before)] == before, moment
        if moment.startswith("SIGTERM@_encoded"):
            assert f"go on with: audiometry run --resume {folder}" in ended.err
            check_partial(folder, kept)
        before = kept
        words = ["run", "--resume", str(folder), "--json", "--quiet"]
    # While results are written a signal is too late to stop anything: they are seconds away.
    ended = cli.run(words, fault=f"SIGTERM@write_evidence+{chance.randrange(200)}")
    assert ended.code == 0, ended
    check(folder, calm, cli.home / "store.db")


def check_partial(folder: Path, kept: list[str]) -> None:
    """The folder holds what was answered so far, and says that this is not all."""
    (partial,) = json.loads((folder / "results.json").read_text())["results"]
    assert json.loads((folder / "run.json").read_text())["status"] == "partial"
    assert 0 < partial["n"] == len(kept) == len(pd.read_parquet(folder / "outputs.parquet")) < COUNT
    assert f"partial: {partial['n']} of {COUNT} samples" in partial["notes"]
