from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from audiometry.benchmark import cli
from audiometry.benchmark.compare import Side, compare, open_side
from audiometry.benchmark.errors import DataError, StoreError, UserError
from audiometry.benchmark.evaluate import evaluate
from audiometry.benchmark.plan import RunSettings

PLUGIN = str(Path(__file__).with_name("faulty.py"))


@pytest.fixture(scope="module")
def runs(ray_here: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs over 40 samples: `both` of two models, `worse` of one that fails at every sample ending in 7 or 3."""
    folder = tmp_path_factory.mktemp("runs")
    base = RunSettings(models=("faulty:at=7,fault=blank",), tasks=("echo:count=40",), plugins=(PLUGIN,), resamples=200)
    store = f"sqlite:///{folder / 'store.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOMETRY_HOME", str(folder / "home"))
        both = replace(base, models=("faulty:at=7,fault=blank", "parrot"))
        evaluate(both, output=folder / "both", store=store, quiet=True)
        evaluate(replace(base, models=("faulty:at=3,fault=blank",)), output=folder / "other", store=store, quiet=True)
    return folder


@pytest.fixture
def copied(runs: Path, tmp_path: Path) -> Path:
    shutil.copytree(runs / "other", tmp_path / "copy")
    return tmp_path / "copy"


def sides(runs: Path, a: str, b: str) -> tuple[Side, Side]:
    return open_side(f"{runs}/{a}"), open_side(f"{runs}/{b}")


def test_a_model_that_is_plainly_worse(runs: Path) -> None:
    lines, changed = compare(*sides(runs, "both::faulty:at=7,fault=blank", "both::parrot"), resamples=500)
    whole = lines[0]
    assert (whole.slice, whole.n, whole.value_a, whole.value_b) == ("all", 40, 0.1, 1.0)
    assert whole.found.difference == pytest.approx(0.9)
    assert whole.found.verdict == "worse"
    assert whole.p_adjusted is None
    assert [line.slice for line in lines] == ["all", "every=one", "parity=even", "parity=odd"]
    assert all(line.p_adjusted >= line.found.p for line in lines[1:])
    assert len(changed["echo"]) == 10
    assert changed["echo"][0].change == 1.0


def test_equal_rates_on_other_samples_cannot_be_told_apart(runs: Path) -> None:
    lines, changed = compare(*sides(runs, "both::faulty:at=7,fault=blank", "other"), resamples=500)
    assert lines[0].found.difference == pytest.approx(0.0)
    assert lines[0].found.verdict == "can't tell"
    assert {one.sample_id[-1] for one in changed["echo"]} == {"3", "7"}
    roomy, _ = compare(*sides(runs, "both::faulty:at=7,fault=blank", "other"), resamples=500, margin=0.9)
    assert roomy[0].found.verdict == "practically equal"


def test_a_run_is_equal_to_itself(runs: Path) -> None:
    lines, changed = compare(*sides(runs, "other", "other"))
    assert lines[0].found.p == 1.0
    assert changed == {"echo": []}


def test_runs_that_are_not_there(runs: Path) -> None:
    with pytest.raises(StoreError, match="there is no run 'none'; give a run folder"):
        open_side("none")
    with pytest.raises(UserError, match="holds several models; name one, as in"):
        open_side(str(runs / "both"))
    with pytest.raises(UserError, match="holds no model 'x'; it holds: faulty:at=7,fault=blank, parrot"):
        open_side(f"{runs / 'both'}::x")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", "0", r"used different versions.*run both with the same task"),
        ("settings", {"normaliser": "none-1"}, r"\(\{\}\).*\(\{'normaliser': 'none-1'\}\) used different settings"),
        ("digest", "0", "used different samples or targets: 40 and 40 samples"),
        ("name", "other", "the runs share no task"),
    ],
)
def test_only_like_is_compared_with_like(runs: Path, copied: Path, key: str, value: object, message: str) -> None:
    document = json.loads((copied / "run.json").read_text())
    document["tasks"][0][key] = value
    (copied / "run.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=message):
        compare(open_side(str(runs / "other")), open_side(str(copied)))


def test_a_version_of_yesterday(runs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(runs / "other", tmp_path / name)
        document = json.loads((tmp_path / name / "run.json").read_text())
        document["tasks"][0]["version"] = "0"
        (tmp_path / name / "run.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match="is version 1 today and the runs are of version 0"):
        compare(*sides(tmp_path, "a", "b"))


def test_unfinished_and_damaged_runs(runs: Path, copied: Path) -> None:
    scores = pd.read_parquet(copied / "scores.parquet")
    scores.iloc[1:].to_parquet(copied / "scores.parquet")
    with pytest.raises(DataError, match="1 samples are in one run only"):
        compare(open_side(str(runs / "other")), open_side(str(copied)))
    (copied / "scores.parquet").unlink()
    with pytest.raises(StoreError, match="cannot read the scores"):
        compare(open_side(str(runs / "other")), open_side(str(copied)))


def test_the_command(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{runs}/both::faulty:at=7,fault=blank", f"{runs}/both::parrot"]
    assert cli.main(["compare", *names]) == 0
    out = capsys.readouterr().out
    assert "worse" in out
    assert "90.00 %" in out
    assert cli.main(["compare", *names, "--json", "--margin", "0.01"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["b"]["model"] == "parrot"
    assert document["comparisons"][0]["verdict"] == "worse"
    assert document["changed"]["echo"][0]["change"] == 1.0
