"""What a run leaves to be looked at: its log, its energy, and metrics that are asked for while it goes on."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiometry.benchmark.errors import RunInterruptedError, SettingError
from audiometry.benchmark.evaluate import evaluate, resume
from audiometry.benchmark.plan import RunSettings
from audiometry.benchmark.tally import Tally

PLUGIN = str(Path(__file__).with_name("faulty.py"))
ECHO = RunSettings(models=("faulty",), tasks=("echo",), plugins=(PLUGIN,), batch_size=4, resamples=200)

pytestmark = pytest.mark.usefixtures("home")


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("ray_here")
class TestLog:
    def test_a_run_tells_its_way(self, tmp_path: Path) -> None:
        evaluate(ECHO, output=tmp_path / "run", quiet=True)
        told = log_of(tmp_path / "run")
        assert [line["message"] for line in told] == ["run started", "Ray started", "model loaded", "run finished"]
        assert told[0]["models"] == ["faulty"]
        assert told[-1]["status"] == "complete"

    def test_a_lost_worker_is_told_with_its_reason(self, tmp_path: Path) -> None:
        evaluate(replace(ECHO, models=("faulty:fault=die",)), output=tmp_path / "run", quiet=True)
        told = log_of(tmp_path / "run")
        lost = [line for line in told if line["message"] == "worker lost"]
        assert len(lost) >= 3
        assert all("died" in line["reason"] and line["level"] == "WARNING" for line in lost)
        (failed,) = [line for line in told if line["message"] == "sample failed"]
        assert failed["first"] == "s007"

    def test_a_run_gone_on_with_tells_both_parts_and_adds_its_energy(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plain = Tally.tick

        def tick(self: Tally, **given: Any) -> None:
            plain(self, **given)
            if self.count:
                raise RunInterruptedError("stopped by SIGTERM")

        monkeypatch.setattr(Tally, "tick", tick)
        with pytest.raises(RunInterruptedError):
            evaluate(ECHO, output=tmp_path / "run", quiet=True)
        before = json.loads((tmp_path / "run" / "run.json").read_text())["energy"]
        monkeypatch.setattr(Tally, "tick", plain)
        resume(tmp_path / "run", quiet=True)
        messages = [line["message"] for line in log_of(tmp_path / "run")]
        assert messages.count("run started") == 2
        assert "run interrupted" in messages
        after = json.loads((tmp_path / "run" / "run.json").read_text())["energy"]
        assert after["parts"] == 2
        assert after["joules"] > before["joules"]


@pytest.mark.usefixtures("ray_here")
def test_the_energy_of_workers_counts(tmp_path: Path) -> None:
    evaluate(ECHO, output=tmp_path / "run", quiet=True)
    energy = json.loads((tmp_path / "run" / "run.json").read_text())["energy"]
    assert energy["cpu_seconds"] > 0.1
    assert energy["joules"] > 0
    assert energy["method"]


def test_nonsense_is_refused_before_there_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMETRY_CARBON_INTENSITY", "a lot")
    with pytest.raises(SettingError):
        evaluate(ECHO, output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_the_command_serves_metrics_while_it_runs(tmp_path: Path) -> None:
    words = ["run", "-m", "remote:seconds=0.3,concurrency=2", "-t", "echo", "--plugin", PLUGIN, "--metrics-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "audiometry.benchmark.cli", *words, "-o", str(tmp_path / "run"), "--resamples", "200"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        found = re.search(r"127\.0\.0\.1:\d+", next(line for line in process.stderr if line.startswith("metrics:")))
        assert found is not None
        seen = set()
        while process.poll() is None:
            try:
                connection = http.client.HTTPConnection(found[0], timeout=5)
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
            except OSError:  # the run is over
                break
            seen.update(re.findall(r"^audiometry_samples_waiting.* ([\d.]+)$", text, re.MULTILINE))
            time.sleep(0.2)
        process.stderr.read()
    assert process.returncode == 0
    assert len(seen) > 3
