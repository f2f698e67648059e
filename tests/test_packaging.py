"""What is shipped: the wheel holds the tree, and a plug-in package of a stranger's is found."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmark", "tasks", "models", "reward", "safety", "leaderboard")
DATA = {".typed", ".safetensors", ".json", ".md", ".txt", ".css", ".toml", ".mako", ".sql", ".csv"}


def shipped_files() -> set[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(line) for line in listed.stdout.splitlines()]
    return {str(file) for file in files if file.suffix == ".py" or file.name == "py.typed" or file.suffix in DATA}


def run(*words: str, path: Path, home: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line with `path` in front of what this environment has installed."""
    environment = {
        **os.environ,
        "AUDIOMETRY_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(path), sysconfig.get_paths()["purelib"]]),
    }
    code = "import sys; from audiometry.benchmark.cli import main; sys.exit(main())"
    command = [sys.executable, "-S", "-c", code, *words]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files as they are now, away from the repository."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        source = ROOT / name
        if source.is_file() and not source.is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / name)
    return folder


@pytest.fixture(scope="module")
def installed(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the clone and installed in an empty folder."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist), str(clone)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    return site


@pytest.mark.slow
def test_the_wheel_holds_the_tree(installed: Path) -> None:
    inside = {str(path.relative_to(installed / "audiometry")) for path in installed.glob("audiometry/**/*.*")}
    inside = {name for name in inside if not name.endswith(".pyc")}
    assert inside == shipped_files()


@pytest.mark.slow
def test_the_wheel_runs_an_evaluation(installed: Path, tmp_path: Path) -> None:
    plugin = ROOT / "tests" / "benchmark" / "faulty.py"
    words = ["run", "-m", "faulty", "-t", "echo", "--plugin", str(plugin), "--json", "--resamples", "200"]
    done = run(*words, path=installed, home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["value"] == 0.0
    assert (tmp_path / "home" / "store.db").exists()


@pytest.mark.slow
def test_a_plugin_package_is_found_and_runs(installed: Path, tmp_path: Path) -> None:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "tests" / "plugin_package", source)
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(site),
        str(source),
    ]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    path = Path(os.pathsep.join([str(site), str(installed)]))
    for kind, name in (("tasks", "example-loudness"), ("models", "example-level-meter")):
        done = run("ls", kind, "--json", path=path, home=tmp_path / "home", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert name in [line["name"] for line in json.loads(done.stdout)]
    words = ["run", "-m", "example-level-meter", "-t", "example-loudness", "--json"]
    done = run(*words, path=path, home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    overall = json.loads(done.stdout)["results"][0]
    assert (overall["value"], overall["n"]) == (0.0, 8)


def test_every_dependency_is_justified_and_pinned() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    pinned = {
        re.split(r"==", line)[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    project = tomllib.loads(text)["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    for requirement in wanted:
        name = re.split(r"[\[<>=;~! ]", requirement)[0].lower().replace("_", "-")
        if name == "audiometry":
            continue
        assert name in pinned, f"{name} is not in constraints.txt"
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f'"{requirement}"')]
        assert "#" in line, f"{requirement} is not justified"


def test_the_static_tools_see_the_root_folders() -> None:
    for name in FOLDERS:
        link = ROOT / ".types" / "audiometry" / name
        assert link.is_symlink()
        assert link.resolve() == ROOT / name
