"""The pages about models that people bring hold for the code, and their programs run as they are written."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from audiometry.benchmark.registry import MODELS, Entry, parse_spec
from audiometry.benchmark.types import ABILITIES, Model, Request, Waveform
from audiometry.models import environments
from audiometry.models.adapters import audiocraft, process, process_program, process_protocol, python_class

DOCS = Path(__file__).parents[2] / "docs"
ADAPTERS = (DOCS / "adapters.md").read_text(encoding="utf-8")
MODELS_PAGE = (DOCS / "models.md").read_text(encoding="utf-8")
AUDIOCRAFT = (DOCS / "audiocraft.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["process", "python", "audiocraft"])
def test_settings_and_defaults_are_documented(name: str) -> None:
    entry: Entry[Model] = MODELS.get(name)
    section = MODELS_PAGE.split(f"\n## {name}\n")[1].split("\n## ", maxsplit=1)[0]
    parameters = inspect.signature(entry.factory).parameters
    assert set(inspect.signature(entry.check or entry.factory).parameters) == set(parameters)
    for setting, parameter in parameters.items():
        row = re.search(rf"^\| `{setting}` \| (.+?) \|", section, re.MULTILINE)
        assert row is not None, setting
        if parameter.default is parameter.empty:
            assert row[1] == "required"
        elif isinstance(parameter.default, int | float):
            assert float(row[1]) == parameter.default
        elif parameter.default and setting != "label":
            assert row[1] == f"`{parameter.default}`"


def test_every_key_of_the_protocol_is_documented() -> None:
    protocol = ADAPTERS.split("### The protocol")[1].split("### What goes wrong")[0]
    for key in (
        process_protocol.HELLO_KEYS | process_protocol.ANSWER_KEYS | process_protocol.SEGMENT_KEYS | {*ABILITIES}
    ):
        assert f"`{key}`" in protocol, key
    for ability, keys in process_protocol.ANSWERS.items():
        for key in keys:
            row = re.search(rf"^ *\| `{key}` \| .*$", protocol, re.MULTILINE)
            assert row is not None
            assert f"`{ability}`" in row[0], (ability, key)


def test_numbers_on_the_page_are_the_code_s() -> None:
    assert f"up to {process_program.MAX_LINE // 2**20} MiB" in ADAPTERS
    assert f"more than {process_program.MAX_NOISE} lines in a row" in ADAPTERS
    assert f"After {process_program.END_SECONDS:g} s it is killed" in ADAPTERS
    recipe = environments.RECIPES["audiocraft"]
    assert f"All {recipe.packages} packages are pinned" in AUDIOCRAFT
    assert f"asks for {recipe.free // 2**30} GiB of free space" in AUDIOCRAFT


def program(language: str) -> str:
    return next(text for text in re.findall(rf"```{language}\n(.+?)```", ADAPTERS, re.DOTALL) if "abilities" in text)


def test_the_python_program_runs_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "loudness.py").write_text(program("python"), encoding="utf-8")
    model = MODELS.create(parse_spec(f"process:command={sys.executable} {tmp_path}/loudness.py"))
    loud = np.full(800, 0.1, np.float32)
    asked = [Request("detect", waveforms={"input": Waveform(samples, 8000)}) for samples in (loud, 0 * loud)]
    outputs = model.generate(asked)
    model.close()
    assert [output.score for output in outputs] == [pytest.approx(-20.0, abs=0.01), pytest.approx(-120.0)]
    assert model.deterministic


def test_the_perl_program_runs_as_it_is_written(tmp_path: Path) -> None:
    script = tmp_path / "agreeable"
    script.write_text(program("perl"), encoding="utf-8")
    script.chmod(0o755)
    model = MODELS.create(parse_spec(f"process:command={script},batch=2"))
    outputs = model.generate([Request("respond", text=text) for text in ("is it so?", "é")])
    model.close()
    assert [output.text for output in outputs] == ["Yes: is it so?", "Yes: é"]
    assert model.deterministic


def test_the_class_runs_as_it_is_written(tmp_path: Path) -> None:
    section = ADAPTERS.split("\n## python\n")[1]
    file = tmp_path / "recogniser.py"
    file.write_text(re.findall(r"```python\n(.+?)```", section, re.DOTALL)[0], encoding="utf-8")
    spec = f"python:target={file}:Recogniser,settings=words='oh no' times=2"
    ran = subprocess.run([sys.executable, "-c", TRY_IT, spec], capture_output=True, text=True, check=True)
    assert ran.stdout == "oh no oh no\n"


TRY_IT = """
import sys
import audiometry.models.adapters.python_class
from audiometry.benchmark.registry import MODELS, parse_spec
from audiometry.benchmark.types import Request
spec = parse_spec(sys.argv[1])
MODELS.check(spec)
print(MODELS.create(spec).generate([Request("transcribe")])[0].text)
"""


@pytest.mark.parametrize("module", [audiocraft, environments, process, process_program, process_protocol, python_class])
def test_examples_in_docstrings_run(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
