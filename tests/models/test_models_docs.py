from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from audiometry.benchmark.registry import MODELS, Entry
from audiometry.benchmark.types import Model
from audiometry.models.baselines.saved import weights_file
from audiometry.models.train_command import TRAINABLE

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
CARDS = Path(__file__).parents[2] / "docs" / "cards"
ADAPTERS = [entry for entry in MODELS.entries() if entry.origin.startswith("audiometry.models.adapters")]

TRY_IT = """
import json, sys
import numpy as np
from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import MODELS, load_plugin_file, parse_spec
from audiometry.benchmark.types import Model, Request, Waveform

load_plugin_file(sys.argv[1])
entry = MODELS.check(parse_spec("level-detector:floor=-50"))
made = MODELS.create(parse_spec("level-detector:floor=-50"))
assert isinstance(made, Model)
loud = np.full(100, 0.1, np.float32)
asked = [Request("detect", waveforms={"input": Waveform(samples, 8000)}) for samples in (loud, 0 * loud)]
scores = [output.score for output in made.generate(asked)]
made.close()
try:
    MODELS.check(parse_spec("level-detector:floor=3"))
except SettingError as error:
    told = str(error)
print(json.dumps([scores, entry.summary, made.fingerprint, told]))
"""


@pytest.mark.parametrize("entry", ADAPTERS, ids=lambda entry: entry.name)
def test_each_adapters_abilities_and_settings_are_documented(entry: Entry[Model]) -> None:
    row = re.search(rf"^\| \[`{entry.name}`\]\(#(.+?)\) \|.*$", PAGE, re.MULTILINE)
    assert row is not None
    heading = next(h for h in re.findall(r"^## (.+)$", PAGE, re.MULTILINE) if _anchor(h) == row[1])
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for setting in inspect.signature(entry.factory).parameters:
        assert f"\n| `{setting}` | " in section


@pytest.mark.parametrize("name", sorted(TRAINABLE))
def test_the_page_says_which_detectors_come_with_weights(name: str) -> None:
    [section] = [part for part in PAGE.split("\n## ") if name in part.split("\n")[0].split(" and ")]
    default = re.search(r"^\| `path` \| (.+?) \|", section, re.MULTILINE)
    assert default is not None
    shipped = weights_file(name).is_file()
    assert default[1] == ("the package's weights" if shipped else "needed; no weights are shipped")
    if shipped or name == "spoof-fusion":
        card = (CARDS / f"{name}.md").read_text(encoding="utf-8")
        assert card.startswith(f"# {name}\n")
        assert f"`audiometry train {name}" in card


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_the_example_runs_as_it_is_written(tmp_path: Path) -> None:
    found = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    assert len(found) == 1
    example = tmp_path / "level_detector.py"
    example.write_text(found[0], encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", TRY_IT, str(example)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    scores, summary, fingerprint, told = json.loads(ran.stdout)
    assert scores == [pytest.approx(-20.0, abs=1e-4), -50.0]
    assert summary == "Detector that scores the level of a clip in dB."
    assert len(fingerprint) == 64
    assert "floor" in told
