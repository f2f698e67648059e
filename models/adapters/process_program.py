"""One running program and the JSON Lines to and from it: started, spoken to, and ended without remains.

Nothing here waits longer than it is told: pipes are read and written only when they are ready, in one thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiometry.benchmark.types import OutputStatus
from audiometry.models.adapters import process_guard

__all__ = ["MAX_LINE", "MAX_NOISE", "Program", "ProgramError", "shared_environment"]

MAX_LINE = 16 * 2**20
"""Bytes of one line at most."""

MAX_NOISE = 100
"""Lines that are no messages (a library's greetings, say) that may stand before a message."""

TAIL = 8192
"""Bytes of what the program wrote to its standard error that are remembered."""

WORDS = 300
"""Characters of it that an error shows."""

END_SECONDS = 5.0
"""How long a program may take to end once its input has."""

CHUNK = 65536

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|DATABASE_URL|DSN|^AUDIOMETRY_STORE$", re.IGNORECASE)
SECRET_VALUE = re.compile(r"://[^/\s@]*:[^/\s@]+@")
OURS = re.compile(r"^(PYTHON(PATH|HOME|STARTUP)|VIRTUAL_ENV.*|RAY_.*|__PYVENV_LAUNCHER__)$")


class ProgramError(Exception):
    """What a program did wrong. `again`: it may not be the sample's doing, so that asking once more is fair."""

    def __init__(self, reason: str, *, status: OutputStatus = "error", again: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.again = again


def shared_environment(variables: Mapping[str, str], keep: Collection[str] = ()) -> dict[str, str]:
    """The environment variables that a program may see.

    Left out are those whose name or value looks like a secret (`SECRET_NAME`, a URL with a password) and those that
    belong to this Python and its workers; the names in `keep` stay in any case.

    >>> shared_environment({"PATH": "/bin", "HF_TOKEN": "x", "PROXY": "http://a:b@c"}, keep=())
    {'PATH': '/bin'}
    >>> shared_environment({"HF_TOKEN": "x", "PYTHONPATH": "."}, keep=("HF_TOKEN",))
    {'HF_TOKEN': 'x'}
    """
    return {
        name: value
        for name, value in variables.items()
        if name in keep or not (SECRET_NAME.search(name) or SECRET_VALUE.search(value) or OURS.match(name))
    }


class Program:
    """A started program. `folder` is where sound is exchanged; it goes with the program.

    Raises ProgramError where the program cannot be started at all.
    """

    def __init__(
        self, command: Sequence[str], *, memory: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="audiometry-process-"))
        held, self._lifeline = os.pipe()
        guard = [sys.executable, "-I", "-S", process_guard.__file__, str(held), str(memory), str(self.folder)]
        try:
            self._process = subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                pass_fds=(held,), start_new_session=True, env=None if environment is None else dict(environment),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            os.close(self._lifeline)
            self.folder.rmdir()
            raise ProgramError(f"the program cannot be started: {error}") from error
        finally:
            os.close(held)
        self._out = bytearray()
        self._in = bytearray()
        self._searched = 0
        self._noise: deque[str] = deque(maxlen=3)
        self._noises = 0
        self._tail = bytearray()
        self._closed = False
        self._selector = selectors.DefaultSelector()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None  # noqa: S101  (all three were asked for)
            os.set_blocking(pipe.fileno(), False)
        self._stdin, self._stdout, self._stderr = (
            stream for stream in (self._process.stdin, self._process.stdout, self._process.stderr) if stream is not None
        )
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._selector.register(self._stderr, selectors.EVENT_READ)

    @property
    def alive(self) -> bool:
        """Whether the program has neither ended nor closed its standard output, as far as is known."""
        return not self._closed and self._stdout.fileno() in self._registered() and self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> None:
        """Hand over one line; it is written while answers are waited for."""
        self._in += json.dumps(message, ensure_ascii=True).encode() + b"\n"
        if not self._stdin.closed and self._stdin.fileno() not in self._registered():
            self._selector.register(self._stdin, selectors.EVENT_WRITE)

    def receive(self, deadline: float, late: str) -> dict[str, Any]:
        """The next message, waited for until `deadline` (of `time.monotonic`).

        Raises ProgramError where none comes in time (it says `late`), the program ends, or what comes is no message.
        """
        while True:
            message = self._next_message()
            if message is not None:
                return message
            if self._stdout.fileno() not in self._registered():
                raise ProgramError(self._how_it_ended(), again=True)
            left = deadline - time.monotonic()
            if left <= 0.0 or not self._pump(left):  # a program that only chatters is late as well
                raise ProgramError(late + self._last_words(), status="timeout")

    def poll(self) -> dict[str, Any] | None:
        """A message that is there already, without waiting.

        Raises ProgramError as `receive` does, save that an ended program just has no message.
        """
        self._pump(0.0)
        return self._next_message()

    def close(self) -> None:
        """End the program's input and wait until it ends; kill it if it does not within `END_SECONDS`."""
        if not self._closed:
            self._close_input()
            self._drain(time.monotonic() + END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kill the program and every process of its own; nothing happens if that was done."""
        if self._closed:
            return
        self._closed = True
        os.close(self._lifeline)
        try:
            self._process.wait(2 * process_guard.KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        for pipe in (self._stdin, self._stdout, self._stderr):
            with contextlib.suppress(OSError):
                pipe.close()

    def _next_message(self) -> dict[str, Any] | None:
        """The first message in what was read; lines that are none are remembered and passed over."""
        while True:
            end = self._out.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._out)
                if len(self._out) > MAX_LINE:
                    raise ProgramError(f"a line is longer than {MAX_LINE // 2**20} MiB: {_shown(self._out)}")
                if self._stdout.fileno() in self._registered() or not self._out:
                    return None
                end = len(self._out)  # the last line before the program ended has no line end
            line = bytes(self._out[:end]).strip()
            del self._out[: end + 1]
            self._searched = 0
            if len(line) > MAX_LINE:
                raise ProgramError(f"a line is longer than {MAX_LINE // 2**20} MiB: {_shown(line)}")
            if line.startswith(b"{"):
                self._noises = 0
                return _parse(line)
            self._noises += 1
            if line:
                self._noise.append(_shown(line))
            if self._noises > MAX_NOISE:
                raise ProgramError(
                    f"{self._noises} lines on its standard output are no JSON objects, the last: {_shown(line)}; "
                    "print what is no answer to standard error"
                )

    def _pump(self, seconds: float) -> bool:
        """Read and write what is ready, waiting up to `seconds`; whether anything was."""
        ready = self._selector.select(max(seconds, 0.0))
        for key, _ in ready:
            if key.fileobj is self._stdin:
                self._write()
            else:
                self._read(key.fileobj)
        return bool(ready)

    def _write(self) -> None:
        try:
            del self._in[: os.write(self._stdin.fileno(), self._in[:CHUNK])]
        except BlockingIOError:
            return
        except OSError:  # it reads no more; how it ended is told by its output
            self._in.clear()
        if not self._in:
            self._selector.unregister(self._stdin)

    def _read(self, pipe: Any) -> None:
        try:
            data = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(pipe)
        elif pipe is self._stdout:
            self._out += data
        else:
            self._tail = (self._tail + data)[-TAIL:]

    def _registered(self) -> set[int]:
        return set() if self._closed else {key.fd for key in self._selector.get_map().values()}

    def _close_input(self) -> None:
        if self._stdin.fileno() in self._registered():
            self._selector.unregister(self._stdin)
        self._stdin.close()

    def _drain(self, deadline: float) -> None:
        """Read until the program has ended or `deadline` is there."""
        while self._selector.get_map() and time.monotonic() < deadline:
            self._pump(deadline - time.monotonic())
            self._out.clear()

    def _how_it_ended(self) -> str:
        self._close_input()
        self._drain(time.monotonic() + END_SECONDS)
        try:
            code = self._process.wait(0.5)
        except subprocess.TimeoutExpired:
            return "the program closed its standard output and did not end" + self._last_words()
        if code < 0:
            return f"the program was ended by {signal.Signals(-code).name}" + self._last_words()
        return f"the program ended with exit status {code}" + self._last_words()

    def _last_words(self) -> str:
        """The end of what it wrote besides answers, to be put behind an error."""
        lines = [line for line in self._tail.decode("utf-8", "replace").splitlines() if line.strip()]
        said = " / ".join(" ".join(line.split()) for line in (lines or list(self._noise))[-3:])
        return f"; its last words: {said[-WORDS:]}" if said else ""


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message: dict[str, Any] = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProgramError(f"a line is broken JSON ({error}): {_shown(line)}") from error
    return message


def _shown(line: bytes | bytearray) -> str:
    text = bytes(line[:200]).decode("utf-8", "replace")
    return repr(text if len(line) <= 200 else f"{text}…")
