"""The form of a run.json that somebody else wrote, as far as the store and the pages read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from audiometry.benchmark.store import STATUSES

__all__ = ["count", "malformed", "number", "texts"]

Form = Callable[[Any], str | None]
"""None for a value of the form, else the place in it that is not (empty: the value itself)."""

MOST = 2**63
"""Whole numbers below it go into any database."""


def malformed(document: object) -> str | None:
    """Where in a run.json something has another form than a run writes; None where nothing has."""
    found = RUN(document)
    if found is None:
        return None if _sound(document) else "a text that is no Unicode, or a number that is not finite"
    return found.removeprefix(".") or "the whole document"


def number(value: object) -> bool:
    """Whether this is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def count(value: object) -> bool:
    """Whether this is a whole number from 0 on that a database holds."""
    return type(value) is int and 0 <= value < MOST


def texts(value: object) -> bool:
    """Whether these are texts that any database holds."""
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value) and _sound(list(value))


def _is(accepted: Callable[[Any], bool]) -> Form:
    return lambda value: None if accepted(value) else ""


def _maybe(form: Form) -> Form:
    return lambda value: None if value is None else form(value)


def _every(form: Form, least: int = 0) -> Form:
    def check(value: Any) -> str | None:
        if not isinstance(value, list) or len(value) < least:
            return ""
        wrong = ((place, form(one)) for place, one in enumerate(value))
        return next((f"[{place}]{found}" for place, found in wrong if found is not None), None)

    return check


def _values(form: Form) -> Form:
    def check(value: Any) -> str | None:
        if not isinstance(value, dict):
            return ""
        wrong = ((name, form(one)) for name, one in value.items())
        return next((f".{name!s:.40}{found}" for name, found in wrong if found is not None), None)

    return check


def _keys(must: Mapping[str, Form], may: Mapping[str, Form]) -> Form:
    """A mapping in which all of `must` are there; what is in neither is passed over."""

    def check(value: Any) -> str | None:
        if not isinstance(value, dict):
            return ""
        asked = {**must, **{name: form for name, form in may.items() if name in value}}
        wrong = ((name, form(value[name]) if name in value else "") for name, form in asked.items())
        return next((f".{name}{found}" for name, found in wrong if found is not None), None)

    return check


def _time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _sound(value: object) -> bool:
    """Whether all texts in a JSON document are Unicode without NUL, and all of its numbers finite."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            if "\0" in one or any("\ud800" <= letter <= "\udfff" for letter in one):
                return False
        elif isinstance(one, int | float) and not isinstance(one, bool) and not number(one):
            return False
    return True


_TEXT = _is(lambda value: isinstance(value, str))
_NAME = _is(lambda value: isinstance(value, str) and bool(value.strip()))
_MARK = _is(lambda value: isinstance(value, str) and len(value) <= 128)
_SWITCH = _is(lambda value: isinstance(value, bool))
_WHOLE = _is(lambda value: type(value) is int and abs(value) < MOST)
_COUNT, _NUMBER, _TIME = _is(count), _is(number), _is(_time)
_ANY = _values(lambda _: None)
_TEXTS = _every(_TEXT)

_MODEL = _keys(
    {"name": _NAME, "spec": _TEXT, "fingerprint": _TEXT, "control": _SWITCH, "settings": _ANY},
    {"deterministic": _maybe(_SWITCH)},
)
_METRIC = _keys({"name": _NAME, "unit": _TEXT, "direction": _TEXT}, {"low": _maybe(_NUMBER), "high": _maybe(_NUMBER)})
_TASK = _keys(
    {"name": _NAME, "version": _TEXT, "settings": _ANY, "samples": _COUNT, "digest": _TEXT},
    {"spec": _TEXT, "notes": _TEXTS, "metrics": _every(_METRIC)},
)
_TIMING = _keys(
    {"model": _TEXT, "task": _TEXT},
    {name: _maybe(_NUMBER) for name in ("seconds", "audio_seconds", "rtfx")} | {"usage": _maybe(_values(_NUMBER))},
)

RUN: Form = _keys(
    {
        "fingerprint": _MARK, "created": _TIME, "finished": _maybe(_TIME), "status": _is(lambda one: one in STATUSES),
        "seed": _WHOLE, "limit": _maybe(_COUNT), "models": _every(_MODEL, 1), "tasks": _every(_TASK, 1),
        "timings": _every(_TIMING),
    },
    {
        "id": _TEXT, "command": _TEXTS, "settings": _maybe(_keys({}, {"plugins": _TEXTS})), "versions": _ANY,
        "energy": _maybe(_keys({}, {"kwh": _maybe(_NUMBER), "grams_co2e": _maybe(_NUMBER)})),
        "hardware": _maybe(_keys({}, {"gpus": _maybe(_every(lambda _: None))})), "suites": _maybe(_ANY),
        "judges": _maybe(_ANY), "skipped": _maybe(_every(_ANY)),
    },
)  # fmt: skip
"""What the store and the pages read of a run.json."""
