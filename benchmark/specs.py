"""Names with settings, as they are typed: ``whisper:model=./ckpt,beam=4``, and their conversion by annotation."""

from __future__ import annotations

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from audiometry.benchmark.errors import SettingError

__all__ = ["Spec", "convert_settings", "parse_spec", "parse_specs"]


@dataclass(frozen=True)
class Spec:
    """A name and the settings given with it, as in ``ctc-asr:checkpoint=./ckpt,beam=4``."""

    name: str
    settings: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if not self.settings:
            return self.name
        return f"{self.name}:{','.join(f'{key}={value}' for key, value in self.settings)}"


def parse_spec(text: str) -> Spec:
    """Read ``NAME`` or ``NAME:key=value,key=value``.

    >>> parse_spec("whisper:model=./ckpt,beam=4")
    Spec(name='whisper', settings=(('beam', '4'), ('model', './ckpt')))

    Raises SettingError for a setting without ``=`` or given twice.
    """
    name, colon, rest = text.strip().partition(":")
    settings: dict[str, str] = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise SettingError(f"in {text!r}: {part!r} is not a setting; write NAME:key=value,key=value")
        if key in settings:
            raise SettingError(f"in {text!r}: setting {key!r} is given twice")
        settings[key] = value.strip()
    if not name:
        raise SettingError(f"{text!r} has no name; write NAME or NAME:key=value,key=value")
    return Spec(name, tuple(sorted(settings.items())))


def parse_specs(texts: Iterable[str]) -> list[Spec]:
    """Read several specs; a text without settings may be a comma-separated list. Repeats are dropped.

    >>> [spec.name for spec in parse_specs(["whisper,pocketsphinx", "silent"])]
    ['whisper', 'pocketsphinx', 'silent']
    """
    specs: dict[Spec, None] = {}
    for text in texts:
        parts = [text] if ":" in text else [part for part in text.split(",") if part.strip()]
        for part in parts:
            specs[parse_spec(part)] = None
    return list(specs)


def convert_settings(factory: Callable[..., Any], settings: Iterable[tuple[str, str]], owner: str) -> dict[str, Any]:
    """Convert setting texts by the annotations of the factory's keyword arguments.

    Raises SettingError for a setting that the factory does not take, lacks, or cannot convert.
    """
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(factory, eval_str=True).parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    }
    given = dict(settings)
    for name in given:
        if name not in parameters:
            near = difflib.get_close_matches(name, parameters, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            if ":" in name:  # NAME:key=value,NAME:key=value: the comma belongs to the first one's settings
                hint = "give each name that has settings an option of its own; "
            takes = ", ".join(parameters) or "none"
            raise SettingError(f"{owner} takes no setting {name!r}; {hint}it takes: {takes}")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise SettingError(
                f"{owner} needs the setting {name!r}, as in {owner.rsplit(maxsplit=1)[-1].strip(chr(39))}:{name}=…"
            )
    return {
        name: _convert(text, parameters[name].annotation, f"{owner}, setting {name!r}") for name, text in given.items()
    }


def _convert(text: str, annotation: Any, where: str) -> Any:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        if text.lower() in ("none", "null") and type(None) in typing.get_args(annotation):
            return None
        annotation = next(a for a in typing.get_args(annotation) if a is not type(None))
    if typing.get_origin(annotation) is typing.Literal:
        choices = typing.get_args(annotation)
        if text not in choices:
            raise SettingError(f"{where}: {text!r} is not one of {', '.join(map(str, choices))}")
        return text
    if annotation is bool:
        truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
        if text.lower() not in truth:
            raise SettingError(f"{where}: {text!r} is not true or false")
        return truth[text.lower()]
    if annotation in (int, float):
        try:
            return annotation(text)
        except ValueError:
            raise SettingError(
                f"{where}: {text!r} is not {'a whole number' if annotation is int else 'a number'}"
            ) from None
    return text
