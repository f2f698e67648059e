"""A model that is a program: in any language, in an environment of its own, spoken to by JSON Lines.

The program is started once a worker. It says who it is, then reads a request a line and writes an answer a line. What
it does wrong costs the sample that was asked, never those beside it: it is started anew for the next.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import model
from audiometry.benchmark.types import ABILITIES
from audiometry.models.adapters.common import check_at_least, fingerprint, shown_name
from audiometry.models.adapters.process_model import ProcessModel, Starter, start_model
from audiometry.models.adapters.process_program import shared_environment
from audiometry.models.adapters.process_protocol import Hello

__all__ = ["process", "split_command"]

VERSION = "process 1"


def check(
    *,
    command: str,
    rate: int | None = None,
    batch: int = 1,
    timeout: float = 300.0,
    start_timeout: float = 300.0,
    memory: float = 0.0,
    environment: str = "",  # noqa: ARG001  (a variable that is not set is just not passed)
    label: str = "",  # noqa: ARG001  (any label will do)
) -> None:
    """Raise SettingError for a command that cannot be run or a value out of its range, without starting anything."""
    split_command(command)
    if rate is not None and not 1_000 <= rate <= 768_000:
        raise SettingError(f"model 'process', setting 'rate': {rate} Hz is outside 1000 to 768000; give 16000, say")
    check_at_least("process", "batch", batch, 1)
    for name, value in (("timeout", timeout), ("start_timeout", start_timeout)):
        if not 0.0 < value < float("inf"):
            raise SettingError(f"model 'process', setting {name!r}: {value:g} s is not above 0; give seconds")
    if not 0.0 <= memory < 1e6:
        raise SettingError(f"model 'process', setting 'memory': {memory:g} GiB is not possible; give 4, say, or 0")
    if memory > 0.0 and sys.platform != "linux":
        raise SettingError("model 'process', setting 'memory': only Linux can limit it; leave it out")


@model("process", abilities=ABILITIES, check=check)
def process(
    *,
    command: str,
    rate: int | None = None,
    batch: int = 1,
    timeout: float = 300.0,
    start_timeout: float = 300.0,
    memory: float = 0.0,
    environment: str = "",
    label: str = "",
) -> ProcessModel:
    """A program of yours, in any language, that speaks JSON Lines."""
    words = split_command(command)
    files = _files(words)

    def identity(hello: Hello) -> str:
        told = {"command": [_told(word, files) for word in words], "name": hello.name, "version": hello.version}
        return fingerprint(VERSION, files, settings={**told, "rate": rate})

    return start_model(
        name=label or shown_name("process", process, {"command": command, "rate": rate, "memory": memory}),
        starter=Starter(words, int(memory * 2**30), shared_environment(os.environ, environment.split()), start_timeout),
        identity=identity,
        rate=rate,
        batch=batch,
        timeout=timeout,
    )


def split_command(command: str) -> list[str]:
    """The words of a command as a shell would split them, the first as the program's path. No shell runs.

    Raises SettingError for a command without words, or whose program is not there.
    """
    try:
        words = [os.path.expanduser(word) for word in shlex.split(command)]  # noqa: PTH111  (a word may be no path)
    except ValueError as error:
        raise SettingError(f"model 'process', setting 'command': {command!r}: {error}; close the quotes") from error
    if not words:
        raise SettingError("model 'process', setting 'command' is empty; give a program, as in command=./my-asr --fast")
    found = shutil.which(words[0])
    if found is None:
        raise SettingError(
            f"model 'process', setting 'command': {words[0]!r} is no program that can be run; "
            "give its path, and make it executable (chmod +x)"
        )
    return [found, *words[1:]]


def _files(words: Sequence[str]) -> list[str]:
    """The files that the command names: the program itself, and every word, or the rest of it behind ``=``."""
    named = [words[0], *(word.partition("=")[2] if word.startswith("-") else word for word in words[1:])]
    return [name for name in named if name and Path(name).is_file()]


def _told(word: str, files: Collection[str]) -> str:
    """A word of the command as it counts: files by their names, so that the same program elsewhere is the same."""
    option, equals, value = word.partition("=")
    if word in files:
        return Path(word).name
    return f"{option}={Path(value).name}" if equals and value in files else word
