"""Environments of their own for models whose packages cannot live beside ours.

An environment is a virtual environment under ``AUDIOMETRY_HOME/environments``. It is whole when its receipt is there,
which is written last and holds the sha256 of the pins that it was made from; one that was cut off is gone on with.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from audiometry.benchmark.errors import DataError, StoreError, UnknownNameError, UserError
from audiometry.benchmark.paths import home

__all__ = ["RECIPES", "Recipe", "State", "check_ready", "create", "folder", "interpreter", "remove", "size", "state"]

RECEIPT = "audiometry.json"
PINS = Path(__file__).parent / "pins"


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of. `pins` lists every package, so that nothing is left to resolve.

    `free` is the disk space in bytes that making it needs; `trial` is Python that must run in it.
    """

    name: str
    summary: str
    pins: Path
    python: tuple[int, int]
    free: int
    trial: str

    @property
    def packages(self) -> int:
        """How many packages are pinned."""
        lines = self.pins.read_text(encoding="utf-8").splitlines()
        return sum(bool(line.strip()) and not line.startswith("#") for line in lines)

    @property
    def digest(self) -> str:
        """The sha256 of the pins."""
        return hashlib.sha256(self.pins.read_bytes()).hexdigest()


RECIPES = {
    "audiocraft": Recipe(
        name="audiocraft",
        summary="MusicGen and AudioGen (audiocraft 1.3.0 on torch 2.1.0)",
        pins=PINS / "audiocraft.txt",
        python=(3, 11),
        free=10 * 2**30,
        trial="import audiocraft.models",
    ),
}
"""The environments that there are, by name."""

State = Literal["ready", "incomplete", "outdated", "absent"]


def folder(name: str) -> Path:
    """Where the environment is, or would be."""
    return home() / "environments" / name


def interpreter(name: str) -> Path:
    """The environment's Python."""
    return folder(name) / "bin" / "python"


def state(name: str) -> State:
    """Whether the environment is whole, cut off, made from other pins than today's, or not there.

    Raises UnknownNameError.
    """
    recipe = _recipe(name)
    if not folder(name).is_dir():
        return "absent"
    try:
        receipt = json.loads((folder(name) / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "incomplete"
    return "ready" if receipt == {"pins": recipe.digest} and interpreter(name).exists() else "outdated"


def size(name: str) -> int:
    """Bytes of the environment's files."""
    return sum((Path(here) / file).lstat().st_size for here, _, files in os.walk(folder(name)) for file in files)


def check_ready(name: str) -> None:
    """Raise DataError, with the command that mends it, unless the environment is whole."""
    found = state(name)
    if found != "ready":
        said = {"absent": "is not there", "incomplete": "is not whole", "outdated": "is older than its pins"}[found]
        raise DataError(f"the environment {name!r} {said}; make it with: audiometry env create {name}")


def create(name: str, say: Callable[[str], None], *, python: str | None = None) -> bool:
    """Make the environment, or go on with one that was cut off; False if it is there already.

    `say` is told what goes on, `python` is the interpreter to make it from. Raises UserError for a Python of another
    version, too little disk space, another `create` under way, or packages that do not install.
    """
    recipe = _recipe(name)
    if state(name) == "ready":
        return False
    base = _python(recipe, python)
    target = folder(name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{target.parent} cannot be made: {error.strerror}; set AUDIOMETRY_HOME") from error
    with _alone(name):
        _check_space(recipe, target)
        (target / RECEIPT).unlink(missing_ok=True)
        if state(name) != "absent" and not interpreter(name).exists():
            shutil.rmtree(target)
        if state(name) == "absent":
            say(f"{name}: a virtual environment of Python {recipe.python[0]}.{recipe.python[1]} in {target}")
            _run([base, "-I", "-m", "venv", str(target)], f"{base} cannot make a virtual environment")
        _install(recipe, say)
        say(f"{name}: trying it")
        _run([str(interpreter(name)), "-I", "-c", recipe.trial], f"the environment {name!r} does not work")
        partial = target / f".{RECEIPT}"
        partial.write_text(json.dumps({"pins": recipe.digest}) + "\n", encoding="utf-8")
        partial.replace(target / RECEIPT)
    return True


def remove(name: str) -> int:
    """Remove the environment; the bytes that are free again. Raises UserError if it is not there or being made."""
    if state(name) == "absent":
        raise UserError(f"the environment {name!r} is not there; see: audiometry env list")
    with _alone(name):
        freed = size(name)
        (folder(name) / RECEIPT).unlink(missing_ok=True)  # first, so that what is left is never taken for whole
        try:
            shutil.rmtree(folder(name))
        except OSError as error:
            raise StoreError(f"{error.filename} cannot be removed: {error.strerror}; remove it by hand") from error
    return freed


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise UnknownNameError(f"unknown environment {name!r}; available: {', '.join(sorted(RECIPES))}")
    return RECIPES[name]


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Hold the environment's lock. Raises UserError if another process does."""
    with (folder(name).parent / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"the environment {name!r} is being made or removed by another process; wait for its end"
            ) from error
        yield


def _python(recipe: Recipe, python: str | None) -> str:
    """A Python of the recipe's version: the one given, this one, or the one on the path."""
    wanted = f"{recipe.python[0]}.{recipe.python[1]}"
    if python is None:
        if sys.version_info[:2] == recipe.python:
            return sys.executable
        found = shutil.which(f"python{wanted}")
        if found is None:
            raise UserError(
                f"the environment {recipe.name!r} needs Python {wanted} and this is {sys.version_info.major}."
                f"{sys.version_info.minor}; install Python {wanted}, or name one with --python PATH"
            )
        return found
    program = shutil.which(python)
    if program is None:
        raise UserError(f"--python {python!r} is no program; give the path of a Python {wanted}")
    said = _run([program, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], f"--python {python!r}")
    if said.strip() != wanted:
        raise UserError(f"--python {python!r} is Python {said.strip()}; the environment needs {wanted}")
    return program


def _check_space(recipe: Recipe, target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    needed = recipe.free - (size(recipe.name) if target.is_dir() else 0)
    if free < needed:
        raise UserError(
            f"the environment {recipe.name!r} needs {needed / 1e9:.1f} GB of disk space and {target.parent} has "
            f"{free / 1e9:.1f} GB; make room, or set AUDIOMETRY_HOME to another disk"
        )


def _install(recipe: Recipe, say: Callable[[str], None]) -> None:
    """Install every pin; what is there already is kept. Raises UserError with pip's last words."""
    pip = [
        str(interpreter(recipe.name)),
        "-I",
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-input",
        "--progress-bar",
        "off",
    ]
    process = subprocess.Popen(
        [*pip, "-r", str(recipe.pins)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=_environment(),
    )  # fmt: skip
    seen, complaints, total = 0, [], recipe.packages
    assert process.stdout is not None  # noqa: S101  (it was asked for)
    with process:
        for line in process.stdout:
            words = line.split()
            package = _package(line)
            if package:
                seen += 1
                say(f"{recipe.name}: package {seen} of {total}: {package}")
            elif words[:1] == ["Installing"]:
                say(f"{recipe.name}: unpacking {total} packages")
            elif words[:1] == ["ERROR:"]:
                complaints.append(" ".join(words[1:]))
    if process.returncode:
        raise UserError(
            f"the packages of the environment {recipe.name!r} did not install: "
            f"{' / '.join(complaints[-2:]) or f'pip ended with exit status {process.returncode}'}; "
            f"do it again with: audiometry env create {recipe.name}"
        )


def _package(line: str) -> str | None:
    """The package that a line of pip begins to fetch, or finds to be there.

    >>> _package("Collecting torch==2.1.0 (from -r pins.txt (line 3))")
    'torch==2.1.0'
    >>> _package("Processing /wheels/av-12.3.0-cp311-cp311-linux_x86_64.whl (from -r pins.txt (line 4))")
    'av==12.3.0'
    >>> _package("Requirement already satisfied: tqdm==4.70.1 in ./site-packages (from -r pins.txt (line 5)) (4.70.1)")
    'tqdm==4.70.1'
    """
    if line.startswith("Processing "):
        return "==".join(Path(line.split()[1]).name.split("-")[:2])
    for start in ("Collecting ", "Requirement already satisfied: "):
        if line.startswith(start):
            return line.removeprefix(start).split()[0]
    return None


def _run(command: list[str], what: str) -> str:
    """What a command prints. Raises UserError with its last words if it fails."""
    ran = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, env=_environment(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if ran.returncode:
        said = " / ".join(" ".join(line.split()) for line in (ran.stderr or ran.stdout).splitlines() if line.strip())
        raise UserError(f"{what}: {said[-300:] or f'exit status {ran.returncode}'}")
    return ran.stdout


def _environment() -> dict[str, str]:
    """The environment variables without those that would mix this Python's packages with the other's."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
