"""The workflow in docs/gate.md, and the action, run as they are written (what GitHub itself does is left out)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from audiometry.benchmark.gate_config import DEFAULT, GateConfig, read_gate_config

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
CLIPS = 60
EVEN = set(range(0, CLIPS, 2))


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


WORKFLOW = yaml.safe_load(block("yaml"))


def bash(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """As GitHub runs a step: bash with -eo pipefail, in the checkout."""
    known = {"PATH": PATH, "AUDIOMETRY_HOME": str(folder / ".home"), "GITHUB_OUTPUT": str(folder / "output"),
             "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}  # fmt: skip
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", command],
        cwd=folder, env=os.environ | known | environment, capture_output=True, text=True, check=False, timeout=550,
    )  # fmt: skip


def act(folder: Path, path: str = PATH, **given: str) -> subprocess.CompletedProcess[str]:
    """Every step of the action, with its inputs filled in as GitHub does."""
    inputs = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | given
    assert all(name in inputs for name in given)
    done = None
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "what comes from outside goes through the environment, never into the script"
        filled = {
            name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], value)
            for name, value in step["env"].items()
        }
        done = bash(step["run"], folder, PATH=path, **filled)
        if done.returncode:
            return done
    assert done is not None
    return done


def outputs(folder: Path) -> dict[str, str]:
    lines = (folder / "output").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def go(job: dict[str, Any], folder: Path, base: Path) -> subprocess.CompletedProcess[str] | None:
    """The steps of a job in a checkout, `base` being the base's; what failed, or None where all went well."""
    failed = None
    for step in job["steps"]:
        uses, given = step.get("uses", ""), step.get("with", {})
        if step.get("name") == "Install" or (failed is not None and step.get("if") != "always()"):
            continue
        if uses.startswith("actions/checkout@") and "path" in given:
            assert given["ref"] == "${{ github.base_ref }}"
            shutil.copytree(base, folder / given["path"])
        elif uses.startswith("actions/upload-artifact@"):
            assert all((folder / path).exists() for path in given["path"].splitlines())
        elif not uses.startswith("actions/"):
            done = act(folder, **given) if uses else bash(step["run"], folder)
            failed = done if done.returncode else failed
    return failed


def lost_artefacts(workflow: dict[str, Any]) -> list[str]:
    """Artefacts that neither a step before uploads nor a job that is waited for: GitHub finds those of one run."""
    lost = []
    for job in workflow["jobs"].values():
        needs = job.get("needs", [])
        before = [workflow["jobs"][name] for name in ([needs] if isinstance(needs, str) else needs)]
        there = {step["with"]["name"] for one in before for step in one["steps"] if "upload-artifact" in str(step)}
        for step in job["steps"]:
            if "upload-artifact" in step.get("uses", ""):
                there.add(step["with"]["name"])
            elif "download-artifact" in step.get("uses", "") and not {"run-id", "github-token"} <= set(step["with"]):
                lost += [step["with"]["name"]] if step["with"]["name"] not in there else []
    return lost


def answers(folder: Path, wrong: set[int]) -> None:
    lines = [{"id": f"clip{i:02d}.wav", "text": f"number {i} is {'off' if i in wrong else 'on'}"} for i in range(CLIPS)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base: a repository with a list of recordings, and what the recogniser wrote."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "speech").mkdir()
    rows = ["audio,text,speaker"]
    for i in range(CLIPS):
        soundfile.write(folder / "speech" / f"clip{i:02d}.wav", np.full(1600, 0.01), 16_000)
        rows.append(f"clip{i:02d}.wav,number {i} is on,{'ann' if i < CLIPS // 2 else 'bob'}")
    (folder / "speech" / "list.csv").write_text("\n".join(rows) + "\n")
    (folder / "gate.toml").write_text(block("toml"))
    answers(folder, EVEN)
    return folder


@pytest.fixture
def candidate(checkout: Path, tmp_path: Path) -> Path:
    shutil.copytree(checkout, tmp_path / "c")
    return tmp_path / "c"


@pytest.mark.slow
def test_the_workflow_passes_what_is_as_good(candidate: Path, checkout: Path) -> None:
    answers(candidate, EVEN - {0} | {1})
    failed = go(WORKFLOW["jobs"]["gate"], candidate, checkout)
    assert failed is None, failed.stdout + failed.stderr
    assert outputs(candidate) == {"verdict": "pass", "exit-code": "0"}
    assert "## Regression gate: pass" in (candidate / "summary.md").read_text()
    assert (candidate / "reports" / "gate.xml").read_text().count("<testcase") == 3


@pytest.mark.slow
def test_the_workflow_fails_a_regression(candidate: Path, checkout: Path) -> None:
    answers(candidate, EVEN | set(range(CLIPS // 2)))
    failed = go(WORKFLOW["jobs"]["gate"], candidate, checkout)
    assert failed is not None
    assert failed.returncode == 1
    assert outputs(candidate) == {"verdict": "regression", "exit-code": "1"}
    summary = (candidate / "summary.md").read_text()
    assert "## Regression gate: regression" in summary
    assert summary == (candidate / "reports" / "gate.md").read_text()


def test_the_workflow_can_work_on_github() -> None:
    assert WORKFLOW[True] == "pull_request", "only a pull request has a base (YAML reads `on` as true)"
    assert lost_artefacts(WORKFLOW) == []
    steps = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
    for uses in (step["uses"] for step in steps if "uses" in step):
        assert uses == "./" or re.fullmatch(r"actions/[a-z-]+@v\d+", uses), uses
    (ours,) = (step for step in steps if step.get("uses") == "./")
    assert set(ours["with"]) <= set(ACTION["inputs"])
    kept = {step["with"]["path"]: step.get("if") for step in steps if "upload-artifact" in step.get("uses", "")}
    for report in ("junit", "markdown"):
        assert kept[str(Path(ours["with"][report]).parent)] == "always()", "a report of a failed gate is kept as well"


def test_an_artefact_of_another_run_is_noticed() -> None:
    """A push uploads and a pull request downloads: two runs of a workflow, and nothing is found."""
    up = {"steps": [{"uses": "actions/upload-artifact@v4", "with": {"name": "baseline", "path": "runs"}}]}
    down: dict[str, Any] = {"uses": "actions/download-artifact@v4", "with": {"name": "baseline"}}
    assert lost_artefacts({"jobs": {"up": up, "down": {"steps": [down]}}}) == ["baseline"]
    assert lost_artefacts({"jobs": {"up": up, "down": {"needs": "up", "steps": [down]}}}) == []
    named = {**down, "with": {**down["with"], "run-id": "1", "github-token": "t"}}
    assert lost_artefacts({"jobs": {"down": {"steps": [named]}}}) == []


def test_the_action_when_it_cannot_tell(write_run: Callable[..., Path], tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "old", [1, 0] * 100, status="partial")
    sides = {"baseline": "runs/old", "candidate": "runs/old"}
    assert act(tmp_path, **sides).returncode == 2
    assert outputs(tmp_path) == {"verdict": "unknown", "exit-code": "2"}
    warned = act(tmp_path, **sides, undecided="warn")
    assert (warned.returncode, "::warning::" in warned.stdout) == (0, True)
    assert "## Regression gate: incomplete" in warned.stdout, "the job's log tells why"
    assert act(tmp_path, **sides, undecided="maybe").returncode == 2
    (tmp_path / "gate.xml").write_text("of an earlier run")
    broken = act(tmp_path, baseline="runs/none; touch broken", candidate="runs/old", undecided="warn")
    assert broken.returncode == 2, "bad input is no verdict, and never let through"
    assert not (tmp_path / "broken").exists()
    assert not (tmp_path / "gate.xml").exists()
    assert not (tmp_path / "gate.md").exists()


@pytest.mark.parametrize("said", ["", '{"verdict": "pass", "exit_code": 0}', "Traceback (most recent call last):"])
@pytest.mark.parametrize("code", [0, 1, 137])
def test_a_code_without_its_verdict_is_none(tmp_path: Path, code: int, said: str) -> None:
    """A crash ends with 1 and no report; whoever swallows it ends with 0."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "audiometry").write_text(f"#!/bin/sh\necho '{said}'\nexit {code}\n")
    (tmp_path / "bin" / "audiometry").chmod(0o755)
    (tmp_path / "gate.md").write_text("of an earlier run")
    path = f"{tmp_path / 'bin'}{os.pathsep}{PATH}"
    done = act(tmp_path, path, baseline="a", candidate="b", undecided="warn")
    passes = code == 0 and said.startswith("{")
    assert done.returncode == (0 if passes else 2)
    assert outputs(tmp_path) == {"verdict": "pass" if passes else "unknown", "exit-code": "0" if passes else "2"}
    assert not (tmp_path / "gate.md").exists()


def test_the_page_and_the_code_agree(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(block("toml"))
    found = read_gate_config(tmp_path / "gate.toml")
    plain = GateConfig(())
    assert (found.alpha, found.max_failures) == (plain.alpha, plain.max_failures) == (DEFAULT.alpha, 0.01)
    for name in ("task", "metric", "slice", "margin", "rule_out", "direction", "skip"):
        assert f"| `{name}` |" in PAGE
    for name in ACTION["inputs"]:
        assert f"`{name}`" in PAGE
    assert "`alpha` is 0.04 by default" in PAGE
