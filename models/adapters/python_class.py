"""A model that is a Python class of yours, named with ``python:target=module:Class``."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from audiometry.benchmark.errors import PluginError, SettingError, UserError
from audiometry.benchmark.registry import convert_settings, model
from audiometry.benchmark.types import ABILITIES, Ability, Output, Request
from audiometry.models.adapters.common import fingerprint, shown_name

__all__ = ["PythonModel", "python"]

VERSION = "python 1"
HOW = "give it as module:Class, or as path/to/file.py:Class"


@dataclass
class PythonModel:
    """An object of the class, held to what a Model is."""

    name: str
    fingerprint: str
    abilities: frozenset[Ability]
    deterministic: bool
    held: Any

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Ask the object for what it can; the rest is an error."""
        able = [at for at, request in enumerate(requests) if request.ability in self.abilities]
        answers = self.held.generate([requests[at] for at in able]) if able else []
        if len(able) == len(requests):
            return cast("list[Output]", answers)  # what is wrong with them is told by whoever asked
        if not isinstance(answers, list | tuple) or len(answers) != len(able):
            raise TypeError(f"generate was asked {len(able)} requests and did not return a list of as many outputs")
        by_place = dict(zip(able, answers, strict=True))
        can = ", ".join(sorted(self.abilities))
        return [
            by_place.get(at, Output(status="error", error=f"{self.name} cannot {request.ability}; it can: {can}"))
            for at, request in enumerate(requests)
        ]

    def close(self) -> None:
        """Call the object's `close`, if it has one."""
        if hasattr(self.held, "close"):
            self.held.close()


def check(*, target: str, settings: str = "", label: str = "") -> None:  # noqa: ARG001  (any label will do)
    """Find the class and read the settings without importing anything of the user's.

    Raises SettingError for a target that is not there or settings that are none.
    """
    place, name = _split(target)
    _pairs(settings)
    source = _source(place, target)
    if source is not None and source.suffix == ".py":
        names = _top_names(source, target)
        if name not in names and "*" not in names:
            public = ", ".join(sorted(one for one in names if not one.startswith("_"))) or "nothing"
            raise SettingError(f"model 'python', setting 'target': {source} has no {name!r}; it has: {public}")


@model("python", abilities=ABILITIES, check=check)
def python(*, target: str, settings: str = "", label: str = "") -> PythonModel:
    """A Python class of yours, with its own settings."""
    place, name = _split(target)
    module = _import(place, target)
    factory = getattr(module, name, None)
    if not callable(factory):
        raise SettingError(f"model 'python', setting 'target': {place} has no class {name!r}; {HOW}")
    held = factory(**_settings(factory, name, _pairs(settings)))
    abilities = _abilities(held, name)
    own = getattr(held, "fingerprint", None)
    if not isinstance(own, str) or not own:
        raise UserError(
            f"class {name!r} has no 'fingerprint'; give it a text that changes whenever its answers would: "
            "a version, and a hash of its weights"
        )
    if not callable(getattr(held, "generate", None)):
        raise UserError(f"class {name!r} has no method 'generate(requests)' that returns one Output a request")
    deterministic = getattr(held, "deterministic", False)
    if not isinstance(deterministic, bool):
        raise UserError(f"class {name!r}: 'deterministic' is {deterministic!r} and neither True nor False")
    facts = {"class": name, "settings": dict(_pairs(settings)), "own": own}
    return PythonModel(
        name=label or shown_name("python", python, {"target": target, "settings": settings}),
        fingerprint=fingerprint(VERSION, _sources(factory, module), settings=facts),
        abilities=abilities,
        deterministic=deterministic,
        held=held,
    )


def _split(target: str) -> tuple[str, str]:
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise SettingError(f"model 'python', setting 'target': {target!r} names no class; {HOW}")
    return place, name


def _pairs(settings: str) -> list[tuple[str, str]]:
    """``beam=4 mode='very fast'`` → [("beam", "4"), ("mode", "very fast")]."""
    try:
        words = shlex.split(settings)
    except ValueError as error:
        raise SettingError(f"model 'python', setting 'settings': {settings!r}: {error}; close the quotes") from error
    pairs = [word.partition("=") for word in words]
    for key, equals, _ in pairs:
        if not equals or not key.isidentifier():
            raise SettingError(
                f"model 'python', setting 'settings': {settings!r} is not understood; write settings=beam=4 mode=fast"
            )
        if [other for other, _, _ in pairs].count(key) > 1:
            raise SettingError(f"model 'python', setting 'settings': {key!r} is given twice")
    return sorted((key, value) for key, _, value in pairs)


def _settings(factory: Callable[..., Any], name: str, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The settings as the class's keyword arguments, converted by their annotations."""
    given = dict(pairs)
    for key, parameter in inspect.signature(factory).parameters.items():
        named = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if named and parameter.default is parameter.empty and key not in given:
            raise SettingError(f"class {name!r} needs the setting {key!r}, as in settings={key}=VALUE")
    return convert_settings(factory, pairs, f"class {name!r}")


def _source(place: str, target: str) -> Path | None:
    """The file of the module, where it is one. Raises SettingError if there is none."""
    if place.endswith(".py"):
        file = Path(place).expanduser()
        if not file.is_file():
            raise SettingError(f"model 'python', setting 'target': the file {place!r} is not there; {HOW}")
        return file
    _see_folder(Path.cwd())
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError) as error:
        raise SettingError(f"model 'python', setting 'target': in {target!r}, {_said(error)}; {HOW}") from error
    if found is None:
        raise SettingError(
            f"model 'python', setting 'target': no module {place!r} is installed or in {str(Path.cwd())!r}; {HOW}"
        )
    return Path(found.origin) if found.origin and Path(found.origin).is_file() else None


def _see_folder(folder: Path) -> None:
    """Let modules in `folder` be found, after everything installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _top_names(source: Path, target: str) -> set[str]:
    """What a file defines or imports by name, without running it; ``*`` where that cannot be told."""
    try:
        tree = ast.parse(source.read_bytes(), str(source))
    except (SyntaxError, ValueError) as error:
        raise SettingError(f"model 'python', setting 'target': in {target!r}, {_said(error)}") from error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names | ({"*"} if "__getattr__" in names else set())


def _import(place: str, target: str) -> ModuleType:
    """Import the module. Raises SettingError if it is not there, PluginError if it fails."""
    source = _source(place, target)
    try:
        if not place.endswith(".py"):
            return importlib.import_module(place)
        assert source is not None  # noqa: S101  (a file was found)
        _see_folder(source.resolve().parent)
        name = f"audiometry_python_{source.stem}"
        spec = importlib.util.spec_from_file_location(name, source.resolve())
        assert spec is not None  # noqa: S101  (it ends in .py)
        assert spec.loader is not None  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except Exception as error:  # a stranger's module may raise anything
        raise PluginError(
            f"model 'python': {place} failed to import: {type(error).__name__}: {_said(error)}"
        ) from error
    return module


def _abilities(held: Any, name: str) -> frozenset[Ability]:
    given = getattr(held, "abilities", None)
    if given is None or isinstance(given, str):
        raise UserError(f"class {name!r} has no 'abilities'; give it a set of some of {', '.join(ABILITIES)}")
    abilities = frozenset(given)
    unknown = abilities.difference(ABILITIES)
    if unknown or not abilities:
        wrong = f"knows no ability {sorted(map(str, unknown))[0]!r}" if unknown else "has no ability at all"
        raise UserError(f"class {name!r} {wrong}; there are: {', '.join(ABILITIES)}")
    return abilities


def _sources(factory: Callable[..., Any], module: ModuleType) -> list[str]:
    """The files whose text decides: the class's own, and the module's that names it where that is another."""
    files = [getattr(module, "__file__", None)]
    try:
        files.append(inspect.getsourcefile(factory))
    except TypeError:
        files.append(None)
    found = {os.path.realpath(file) for file in files if file}
    return sorted(file for file in found if Path(file).is_file())


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
