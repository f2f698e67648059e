"""Settings from a configuration file: the same keys as the flags of ``audiometry run``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from audiometry.benchmark.errors import SettingError, UserError
from audiometry.benchmark.plan import RunSettings

__all__ = ["OTHER_KEYS", "merge", "read_config"]

LISTS = {"model": "models", "models": "models", "task": "tasks", "tasks": "tasks", "plugin": "plugins"}
OTHER_KEYS = ("output_path", "store")
"""Keys that are no setting of the run itself."""


def read_config(path: Path) -> dict[str, Any]:
    """Read a TOML file of settings; hyphens and underscores in keys are alike.

    Raises UserError for a file that is not there or not TOML, SettingError for an unknown key or a value of the
    wrong type.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"cannot read the configuration {path}: {error.strerror}; give the path of a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f'{path} is not TOML: {error}; write lines such as: tasks = ["wer-asterisk-en"]') from error
    return {_known(key, path): _typed(key, value, path) for key, value in document.items()}


def merge(*layers: Mapping[str, Any]) -> RunSettings:
    """Settings from layers, the later ones first in rank; None means not given."""
    settings = RunSettings(models=(), tasks=())
    for layer in layers:
        given = {key: value for key, value in layer.items() if value is not None and key not in OTHER_KEYS}
        settings = replace(settings, **given)
    return settings


def _known(key: str, path: Path) -> str:
    plain = key.replace("-", "_")
    name = LISTS.get(plain, plain)
    names = [field.name for field in fields(RunSettings)]
    if name in names or name in OTHER_KEYS:
        return name
    near = difflib.get_close_matches(plain, [*LISTS, *names, *OTHER_KEYS], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise SettingError(f"{path}: unknown key {key!r}; {hint}known: {', '.join(sorted([*names, *OTHER_KEYS]))}")


def _typed(key: str, value: Any, path: Path) -> Any:
    plain = key.replace("-", "_")
    if plain in LISTS:
        parts = [value] if isinstance(value, str) else value
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise SettingError(f"{path}: {key} must be a text or a list of texts")
        return tuple(parts)
    if plain == "batch_size" and value == "auto":
        return value
    wanted: tuple[type, ...] = {
        "limit": (int,), "seed": (int,), "workers": (int,), "batch_size": (int,), "resamples": (int,),
        "keep_audio": (bool,), "cache": (bool,), "output_path": (str,), "store": (str,), "device": (str,),
    }.get(plain, (int, float))  # fmt: skip
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        names = " or ".join(
            {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}[t.__name__]
            for t in wanted
        )
        raise SettingError(f"{path}: {key} must be {names}, not {value!r}")
    return value
