"""`audiometry gate` from its words to its exit code, whatever goes wrong in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_errors import errors, moved

from audiometry.benchmark import cli
from audiometry.benchmark.gate_config import DETECTABLE

Write = Callable[..., Path]


def run_gate(*words: str) -> int:
    return cli.main(["gate", *words])


def test_the_command(write_run: Write, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = errors()
    write_run(home / "runs" / "old", before, models=("m", "n"))
    new = write_run(tmp_path / "new", moved(before, 30, 10))
    code = run_gate("--baseline", "old::n", "--candidate", str(new), "--junit", str(tmp_path / "out" / "gate.xml"),
                    "--markdown", str(tmp_path / "gate.md"))  # fmt: skip
    out = capsys.readouterr().out
    assert code == 1
    assert "REGRESSION: 1 checks: 1 regression" in out
    assert "detectable" in out
    assert (tmp_path / "out" / "gate.xml").read_text().startswith("<?xml")
    assert "## Regression gate: regression" in (tmp_path / "gate.md").read_text()
    assert run_gate("--baseline", "old::n", "--candidate", "old::m", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["exit_code"], document["baseline"]["model"]) == ("pass", 0, "n")
    assert document["checks"][0]["detectable"] > 0
    assert run_gate("--baseline", "old", "--candidate", str(new)) == 2
    assert "holds several models; name one" in capsys.readouterr().err


def test_the_command_with_a_configuration(
    write_run: Write, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not home.exists()
    before = errors()
    old, new = write_run(tmp_path / "old", before), write_run(tmp_path / "new", moved(before, 30, 10))
    config = tmp_path / "gate.toml"
    config.write_text('[[check]]\ntask = "p*"\nmargin = 0.02\nrule_out = 0.04\n')
    words = ["--baseline", str(old), "--candidate", str(new), "--config", str(config)]
    assert run_gate(*words) == 0
    config.write_text(f'[[check]]\ntask = "p*"\nmetrik = "wer"\nrule_out = "{DETECTABLE}"\n')
    assert run_gate(*words) == 2
    assert "unknown key 'metrik'; did you mean 'metric'?" in capsys.readouterr().err
    assert run_gate("--baseline", str(old), "--candidate", str(new), "--junit", str(old / "run.json" / "x")) == 2
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["gated-that-breaks", "gated-that-leaves"])
def test_a_task_that_breaks_is_no_verdict(
    write_run: Write,
    tmp_path: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    task: str,
) -> None:
    """A traceback ends with 1, and that is the code of a regression."""
    assert not home.exists()
    old, new = (str(write_run(tmp_path / name, errors(), tasks=(task,))) for name in ("old", "new"))
    caplog.set_level("INFO", logger="audiometry.gate")
    assert run_gate("--baseline", old, "--candidate", new) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("audiometry: the gate could not judge: ")
    assert told[0].endswith("; AUDIOMETRY_LOG_LEVEL=INFO shows where")
    (record,) = caplog.records
    assert record.exc_info is not None


@pytest.mark.parametrize("side", ["--baseline", "--candidate"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (None, "cannot read"),
        ({"status": None}, "'status' is missing or of another type"),
        ({"models": []}, "it names no model"),
        ({"models": [{}]}, "'name' of one of its models is missing"),
        ({"tasks": [{"name": "pairs"}]}, "'spec' of one of its tasks is missing"),
        ([], "'id' is missing or of another type"),
    ],
)
def test_a_damaged_document(
    write_run: Write, tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], side: str, change: Any, told: str
) -> None:
    assert not home.exists()
    runs = {name: write_run(tmp_path / name.strip("-"), errors()) for name in ("--baseline", "--candidate")}
    file = runs[side] / "run.json"
    whole = json.loads(file.read_text())
    file.write_text(file.read_text()[:99] if change is None else json.dumps({**whole, **change} if change else change))
    assert run_gate(*(word for name, run in runs.items() for word in (name, str(run)))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert str(file) in line


@pytest.mark.parametrize(("words", "up", "code"), [((), 10, 0), (("--json",), 30, 1)])
def test_a_reader_that_goes_away_does_not_change_the_verdict(
    write_run: Write, tmp_path: Path, words: tuple[str, ...], up: int, code: int
) -> None:
    """A table that nobody reads ended with 1, whatever the verdict, and JSON with 0."""
    before = errors()
    old, new = write_run(tmp_path / "old", before), write_run(tmp_path / "new", moved(before, up, 10))
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "audiometry.benchmark.cli", "gate", "--baseline", old, "--candidate", new, *words]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (code, "")
