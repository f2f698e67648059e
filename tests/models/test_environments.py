from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from audiometry.benchmark.errors import DataError, StoreError, UnknownNameError, UserError
from audiometry.models import commands, environments

VERSION = sys.version_info[:2]
OTHER = (2, 7)


def write_wheel(folder: Path, name: str) -> None:
    """A package of one module, as pip installs it."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "WORTH = 42\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.fixture
def wheels(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the only source of packages, and a recipe that wants two of them."""
    pins = tmp_path / "pins.txt"
    pins.write_text("# two packages\n\nfirst==1.0\nsecond==1.0\n")
    recipe = environments.Recipe("tiny", "Two tiny packages", pins, VERSION, 1000, "import first, second")
    monkeypatch.setattr(environments, "RECIPES", {"tiny": recipe})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    write_wheel(tmp_path / "wheels", "first")
    return tmp_path / "wheels"


def change(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    recipe = replace(environments.RECIPES["tiny"], **fields)  # type: ignore[arg-type]
    monkeypatch.setattr(environments, "RECIPES", {"tiny": recipe})


@pytest.mark.slow
def test_an_environment_is_made_gone_on_with_and_removed(
    wheels: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    with pytest.raises(DataError, match="'tiny' is not there; make it with: audiometry env create tiny"):
        environments.check_ready("tiny")
    with pytest.raises(UserError, match=r"did not install: .*second.*; do it again with: audiometry env create tiny"):
        environments.create("tiny", said.append)
    assert said[0].startswith("tiny: a virtual environment of Python")
    assert environments.state("tiny") == "incomplete"
    with pytest.raises(DataError, match="'tiny' is not whole"):
        environments.check_ready("tiny")

    write_wheel(wheels, "second")
    change(monkeypatch, trial="import third")
    with pytest.raises(UserError, match=r"'tiny' does not work: .*No module named 'third'"):
        environments.create("tiny", said.append)
    change(monkeypatch, trial="import first, second")
    said.clear()
    assert environments.create("tiny", said.append)
    assert [line for line in said if "package" in line] == [
        "tiny: package 1 of 2: first==1.0",
        "tiny: package 2 of 2: second==1.0",
    ]
    assert not any("virtual environment" in line for line in said)
    environments.check_ready("tiny")
    assert not environments.create("tiny", said.append)
    worth = subprocess.run(
        [environments.interpreter("tiny"), "-c", "import second; print(second.WORTH)"], capture_output=True, check=True
    )
    assert worth.stdout.strip() == b"42"

    environments.RECIPES["tiny"].pins.write_text("first==1.0\n")
    assert environments.state("tiny") == "outdated"
    with pytest.raises(DataError, match="'tiny' is older than its pins"):
        environments.check_ready("tiny")
    app = application()
    run(app, "env", "create", "tiny")
    assert "tiny: made, 0.0 GB" in capsys.readouterr().err
    run(app, "env", "create", "tiny")
    assert "tiny: ready" in capsys.readouterr().err
    run(app, "env", "list", "--json")
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["state"]) == ("tiny", "ready")
    assert row["bytes"] > 1000
    run(app, "env", "list")
    assert capsys.readouterr().out.startswith("tiny  ready  0.0 GB  Two tiny packages  ")
    run(app, "env", "remove", "tiny")
    assert "tiny: removed" in capsys.readouterr().err
    assert environments.state("tiny") == "absent"


def application() -> typer.Typer:
    app = typer.Typer()
    commands.register(app)
    app.callback()(lambda: None)
    return app


def run(app: typer.Typer, *words: str) -> None:
    typer.main.get_command(app)(args=list(words), standalone_mode=False)


@pytest.mark.parametrize("command", ["create", "list", "remove"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(application(), "env", command, "--help")
    assert f"audiometry env {command}" in capsys.readouterr().out


def test_a_folder_without_its_python_is_made_anew(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = environments.folder("tiny") / "half"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    asked: list[list[str]] = []

    def refuse(command: list[str], what: str) -> str:
        asked.append(command)
        assert not left.exists()
        raise UserError(what)

    monkeypatch.setattr(environments, "_run", refuse)
    with pytest.raises(UserError, match="cannot make a virtual environment"):
        environments.create("tiny", lambda _: None)
    assert asked[0][1:4] == ["-I", "-m", "venv"]


def test_disk_space_is_looked_at_first(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, free=10**18)
    with pytest.raises(
        UserError, match=r"needs 1000000000\.0 GB of disk space and .* make room, or set AUDIOMETRY_HOME"
    ):
        environments.create("tiny", lambda _: None)
    assert environments.state("tiny") == "absent"


def test_only_one_makes_it_at_a_time(wheels: Path) -> None:
    environments.folder("tiny").mkdir(parents=True)
    with (environments.folder("tiny").parent / ".tiny.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for act in (lambda: environments.create("tiny", lambda _: None), lambda: environments.remove("tiny")):
            with pytest.raises(UserError, match="is being made or removed by another process"):
                act()


def test_a_python_of_the_right_version_is_needed(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--python '/nowhere' is no program; give the path of a Python"):
        environments.create("tiny", lambda _: None, python="/nowhere")
    change(monkeypatch, python=OTHER)
    with pytest.raises(UserError, match=r"is Python \d\.\d+; the environment needs 2\.7"):
        environments.create("tiny", lambda _: None, python=sys.executable)
    monkeypatch.setattr(environments.shutil, "which", lambda _: None)
    with pytest.raises(
        UserError, match=r"needs Python 2\.7 and this is .*; install Python 2\.7, or name one with --python"
    ):
        environments.create("tiny", lambda _: None)
    monkeypatch.setattr(environments.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert environments._python(environments.RECIPES["tiny"], None) == "/usr/bin/python2.7"
    change(monkeypatch, python=VERSION)
    assert environments._python(environments.RECIPES["tiny"], None) == sys.executable
    monkeypatch.setattr(environments.shutil, "which", lambda name: name)
    assert environments._python(environments.RECIPES["tiny"], sys.executable) == sys.executable


def test_unknown_and_absent_environments(home: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown environment 'tiny'; available: audiocraft"):
        environments.state("tiny")
    with pytest.raises(UserError, match="'audiocraft' is not there; see: audiometry env list"):
        environments.remove("audiocraft")


def test_folders_that_cannot_be_written(home: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be made: .*; set AUDIOMETRY_HOME"):
        environments.create("tiny", lambda _: None)
    home.unlink()
    environments.folder("tiny").mkdir(parents=True)

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied", "inner")

    monkeypatch.setattr(environments.shutil, "rmtree", refuse)
    with pytest.raises(StoreError, match="inner cannot be removed: Permission denied; remove it by hand"):
        environments.remove("tiny")


def test_the_pins_of_audiocraft_are_whole_and_exact() -> None:
    recipe = environments.RECIPES["audiocraft"]
    lines = [line for line in recipe.pins.read_text().splitlines() if not line.startswith("#")]
    assert recipe.packages == len(lines) > 100
    assert all("==" in line for line in lines)
    pinned = dict(line.partition(";")[0].split("==") for line in lines)
    assert (pinned["audiocraft"], pinned["torch"], pinned["xformers"]) == ("1.3.0", "2.1.0", "0.0.22.post7")
