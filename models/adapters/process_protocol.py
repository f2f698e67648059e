"""What is said between Audiometry and a program: hello, request and answer. The page docs/adapters.md is its text."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from audiometry.benchmark.audio import encode_wav, read, read_file, resample
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.types import ABILITIES, Ability, Output, Request, Segment, Turn, Waveform
from audiometry.models.adapters.common import text_output
from audiometry.models.adapters.process_program import ProgramError

__all__ = ["ANSWERS", "SEEDS", "Hello", "as_output", "as_request", "read_hello"]

SEEDS = 2**32
"""Seeds are told modulo this, which every language's numbers can hold."""

ANSWERS: Mapping[Ability, tuple[str, ...]] = {
    "transcribe": ("text",),
    "respond": ("text", "audio"),
    "detect": ("score",),
    "rate": ("score",),
    "classify": ("labels",),
    "align": ("segments",),
    "synthesize": ("audio",),
    "convert": ("audio",),
    "embed": ("embedding",),
    "watermark": ("audio", "score", "text"),
}
"""The keys that answer each ability; any one is enough."""

ANSWER_KEYS = frozenset(
    {"id", "text", "score", "labels", "segments", "audio", "embedding", "error", "refused", "timings", "usage"}
)
HELLO_KEYS = frozenset({"name", "version", "abilities", "deterministic"})
SEGMENT_KEYS = frozenset({"start", "end", "label", "score"})


@dataclass(frozen=True)
class Hello:
    """What a program says of itself in its first line."""

    name: str
    version: str
    abilities: frozenset[Ability]
    deterministic: bool


class _MalformedError(Exception):
    """What is wrong with a message."""


def read_hello(message: Mapping[str, Any]) -> Hello:
    """The hello in a program's first message.

    >>> read_hello({"name": "asr", "version": "1", "abilities": ["transcribe"]}).deterministic
    False

    Raises ProgramError that says what is missing or wrong.
    """
    try:
        _check_keys(message, HELLO_KEYS)
        for key in ("name", "version"):
            if not isinstance(message.get(key), str) or not message[key].strip():
                raise _MalformedError(f"it needs {key!r}, a text")
        abilities = message.get("abilities")
        if not isinstance(abilities, list) or not abilities:
            raise _MalformedError(f"it needs 'abilities', a list of some of {', '.join(ABILITIES)}")
        unknown = [one for one in abilities if one not in get_args(Ability)]
        if unknown:
            raise _MalformedError(f"the ability {unknown[0]!r} is unknown; there are: {', '.join(ABILITIES)}")
        deterministic = message.get("deterministic", False)
        if not isinstance(deterministic, bool):
            raise _MalformedError("'deterministic' is neither true nor false")
    except _MalformedError as problem:
        raise ProgramError(f"its first line is no hello: {problem}") from problem
    return Hello(message["name"], message["version"], frozenset(cast("list[Ability]", abilities)), deterministic)


def as_request(request: Request, number: int, folder: Path, rate: int | None) -> dict[str, Any]:
    """The message that asks `request` as the number `number`; its sound is written to WAV files in `folder`.

    `rate` is the sampling rate of those files in Hz (None: each sound's own). Raises AudioError for sound in a turn
    that cannot be decoded.
    """
    message: dict[str, Any] = {"id": number, "ability": request.ability, "seed": request.seed % SEEDS}
    for key, value in (
        ("text", request.text),
        ("instruction", request.instruction),
        ("language", request.language),
    ):
        if value is not None:
            message[key] = value
    sounds = {}
    for place, (role, waveform) in enumerate(sorted(request.waveforms.items())):
        sounds[role] = _write(waveform, folder / f"{number}-{place}.wav", rate)
    message["audios"] = sounds
    if request.turns:
        message["turns"] = [
            _turn(turn, folder / f"{number}-turn-{at}.wav", rate) for at, turn in enumerate(request.turns)
        ]
    message["folder"] = str(folder)
    return message


def as_output(message: Mapping[str, Any], ability: Ability, folder: Path) -> Output:
    """The output in an answer; what is wrong with it becomes the output's error.

    `error` and `refused` go before everything else. Sound is read from the file that the answer names (relative to
    `folder`), which is removed if it lies in `folder`.
    """
    try:
        _check_keys(message, ANSWER_KEYS)
        extra: dict[str, Any] = {
            "timings": _numbers(message, "timings"),
            "usage": _numbers(message, "usage"),
        }
        if message.get("error") is not None:
            return Output(status="error", error=_text(message, "error") or "the program gave no reason", **extra)
        refused = message.get("refused", False)
        if not isinstance(refused, bool):
            raise _MalformedError("'refused' is neither true nor false")
        if refused:
            return Output(status="refused", text=_text(message, "text"), **extra)
        return _answer(message, ability, folder, extra)
    except (_MalformedError, AudioError) as problem:
        return Output(status="error", error=f"malformed answer: {problem}")


def _answer(message: Mapping[str, Any], ability: Ability, folder: Path, extra: Mapping[str, Any]) -> Output:
    given = [key for key in ANSWERS[ability] if message.get(key) is not None]
    if not given:
        said = ", ".join(sorted(key for key in message if key != "id")) or "nothing"
        raise _MalformedError(f"{ability} needs {' or '.join(map(repr, ANSWERS[ability]))}, and it holds {said}")
    text = _text(message, "text")
    said_text = None if text is None else text_output(text)
    only_text = said_text is not None and given == ["text"]
    return Output(
        status=said_text.status if said_text is not None and only_text else "ok",
        text=None if said_text is None else said_text.text,
        score=_number(message, "score"),
        labels=_numbers(message, "labels"),
        segments=_segments(message),
        audio=_sound(message, folder),
        embedding=_embedding(message),
        **extra,
    )


def _check_keys(message: Mapping[str, Any], known: Collection[str]) -> None:
    for key in message:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise _MalformedError(f"the key {key!r} is unknown; {hint}there are: {', '.join(sorted(known))}")


def _text(message: Mapping[str, Any], key: str) -> str | None:
    value = message.get(key)
    if value is not None and not isinstance(value, str):
        raise _MalformedError(f"{key!r} is not a text")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _number(message: Mapping[str, Any], key: str) -> float | None:
    value = message.get(key)
    if value is None:
        return None
    if not _is_number(value):
        raise _MalformedError(f"{key!r} is not a finite number")
    return float(value)


def _numbers(message: Mapping[str, Any], key: str) -> dict[str, float]:
    value = message.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(_is_number(one) for one in value.values()):
        raise _MalformedError(f"{key!r} is not an object of finite numbers")
    return {name: float(one) for name, one in value.items()}


def _segments(message: Mapping[str, Any]) -> tuple[Segment, ...]:
    value = message.get("segments")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _MalformedError("'segments' is not a list of objects with 'start', 'end' and 'label'")
    made = []
    for one in value:
        _check_keys(one, SEGMENT_KEYS)
        start, end, label = _number(one, "start"), _number(one, "end"), _text(one, "label")
        if start is None or end is None or label is None or not 0.0 <= start <= end:
            raise _MalformedError("a segment needs 'start' and 'end' in seconds, in order, and 'label', a text")
        made.append(Segment(start, end, label, _number(one, "score")))
    return tuple(made)


def _embedding(message: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    value = message.get("embedding")
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(_is_number(one) for one in value):
        raise _MalformedError("'embedding' is not a list of finite numbers")
    return np.asarray(value, dtype=np.float32)


def _sound(message: Mapping[str, Any], folder: Path) -> Waveform | None:
    name = _text(message, "audio")
    if name is None:
        return None
    path = folder / name
    waveform = read_file(path)
    if path.resolve().is_relative_to(folder.resolve()):
        path.unlink(missing_ok=True)
    return waveform


def _turn(turn: Turn, path: Path, rate: int | None) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role}
    if turn.text is not None:
        message["text"] = turn.text
    if turn.audio is not None:
        message["audio"] = _write(read(turn.audio), path, rate)
    return message


def _write(waveform: Waveform, path: Path, rate: int | None) -> str:
    path.write_bytes(encode_wav(waveform if rate is None else resample(waveform, rate)))
    return str(path)
