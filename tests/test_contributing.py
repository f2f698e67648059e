"""The task in CONTRIBUTING is run as it is printed there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "CONTRIBUTING.md"


def block(section: str, kind: str) -> str:
    text = GUIDE.read_text(encoding="utf-8")
    within = text[text.index(f"## {section}\n") :]
    found = re.search(rf"```{kind}\n(.*?)```", within, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_the_task_of_the_guide_runs_as_printed(tmp_path: Path) -> None:
    code = block("A task", "python")
    assert len(code.splitlines()) < 30
    (tmp_path / "first_word.py").write_text(code)
    program, *words = shlex.split(block("A task", "bash"))
    assert program == "audiometry"
    command = [sys.executable, "-m", "audiometry.benchmark.cli", *words, "--json", "--quiet", "-o", "run", "--store"]
    done = subprocess.run(
        [*command, f"sqlite:///{tmp_path / 'store.db'}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    values = {
        one["model"]: (one["value"], one["n"]) for one in json.loads(done.stdout)["results"] if one["slice"] == "all"
    }
    assert values == {"oracle": (1.0, 20), "silent": (0.0, 20)}
