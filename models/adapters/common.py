"""What the adapters share: fingerprints, thread counts, names, and answering one request at a time."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.audio import resample
from audiometry.benchmark.errors import AudioError, SettingError, UserError
from audiometry.benchmark.registry import Spec
from audiometry.benchmark.types import Ability, Output, Request

__all__ = [
    "Recogniser",
    "answer_one",
    "check_at_least",
    "file_digest",
    "fingerprint",
    "needs_packages",
    "shown_name",
    "speech",
    "text_output",
    "thread_count",
]


@dataclass
class Recogniser:
    """A speech recogniser: a Model whose work is the function `answer`."""

    name: str
    fingerprint: str
    answer: Callable[[Sequence[Request]], list[Output]]
    release: Callable[[], None] = lambda: None
    abilities: frozenset[Ability] = frozenset({"transcribe"})
    deterministic: bool = True

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Transcribe each request's ``input``."""
        return self.answer(requests)

    def close(self) -> None:
        """Give back threads."""
        self.release()


def file_digest(path: str | Path) -> str:
    """The sha256 of a file's bytes, in hex. Remembered by path, size and time of change within this process.

    Raises OSError if the file cannot be read.
    """
    file = Path(path).resolve()
    facts = file.stat()
    return _digest(str(file), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=65536)
def _digest(path: str, size: int, changed: int) -> str:  # noqa: ARG001  (size and time are the cache's key)
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(
    adapter: str, files: Iterable[str | Path], *, settings: Mapping[str, Any], packages: Iterable[str] = ()
) -> str:
    """A sha256 in hex over what decides a model's answers.

    `adapter` is the adapter's name and version, `files` are hashed in order by name and content (not by
    folder), `settings` must be plain values, and each of `packages` counts with the version that is installed.
    """
    facts = {
        "adapter": adapter,
        "files": [(Path(file).name, file_digest(file)) for file in files],
        "settings": dict(settings),
        "packages": {name: _installed(name) for name in packages},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def shown_name(name: str, factory: Callable[..., Any], settings: Mapping[str, Any]) -> str:
    """The name with the settings that differ from the factory's defaults, as a user would type them.

    >>> def factory(*, beam: int = 1, language: str = "en") -> None: ...
    >>> shown_name("whisper", factory, {"beam": 4, "language": "en"})
    'whisper:beam=4'
    """
    defaults = {key: parameter.default for key, parameter in inspect.signature(factory).parameters.items()}
    changed = {key: str(value) for key, value in settings.items() if value != defaults[key]}
    return str(Spec(name, tuple(sorted(changed.items()))))


def thread_count(threads: int) -> int:
    """`threads`, or where it is 0 the number in ``OMP_NUM_THREADS``, or else 1."""
    if threads > 0:
        return threads
    told = os.environ.get("OMP_NUM_THREADS", "")
    return max(int(told), 1) if told.isdigit() else 1


def check_at_least(owner: str, name: str, value: int, least: int) -> None:
    """Raise SettingError if a whole number is too small."""
    if value < least:
        raise SettingError(f"model {owner!r}, setting {name!r}: {value} is less than {least}; give {least} or more")


def needs_packages(owner: str, extra: str, modules: Iterable[str]) -> None:
    """Raise UserError, naming the extra to install, unless every module can be imported."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise UserError(
                f"model {owner!r} needs the package {module!r}; install it with: pip install 'audiometry[{extra}]'"
            )


def speech(request: Request, rate: int) -> NDArray[np.float32]:
    """The sound in the role ``input``, shape (time,), float32 at `rate` Hz.

    Raises AudioError if the request has none.
    """
    waveform = request.waveforms.get("input")
    if waveform is None:
        raise AudioError("the request has no sound in the role 'input'")
    return resample(waveform, rate).samples


def text_output(text: str) -> Output:
    """`text` without white space around it as an answer; nothing but white space is ``empty``."""
    stripped = text.strip()
    return Output(status="ok" if stripped else "empty", text=stripped)


def answer_one(answer: Callable[[], Output]) -> Output:
    """Call `answer` and note the seconds it took. What it raises becomes the output's error."""
    start = time.perf_counter()
    try:
        output = answer()
    except Exception as error:  # a library may raise anything on one clip; it is told as that clip's status
        message = " ".join(str(error).split()) or "no message"
        output = Output(
            status="error", error=message if isinstance(error, AudioError) else f"{type(error).__name__}: {message}"
        )
    return replace(output, timings={"total": time.perf_counter() - start})
