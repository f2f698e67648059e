"""Runs one program so that nothing of it outlives the process that started it.

A script on the standard library alone::

    python -I -S process_guard.py LIFELINE MEMORY FOLDER PROGRAM [ARGUMENT ...]

LIFELINE is the number of an open pipe of which the starter holds the other end: when it is closed, or the starter dies
in any way, the program is killed. MEMORY is a limit in bytes (0: none), FOLDER is removed at the end. The program has
a process group of its own, which is killed when the program or the starter ends; on Linux its descendants that left
the group are found as well. The guard ends as the program ended: with its exit status, or by its signal.

There are two processes of it, since a starter may be ended in a way that kills its children first, as Ray ends its
workers: the first only waits, so that the second lives to clean up.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

__all__ = ["CANNOT_START", "main"]

CANNOT_START = 127
"""The exit status where the program cannot be started, as a shell has it."""

SET_PARENT_DEATH_SIGNAL = 1
SET_CHILD_SUBREAPER = 36
"""Options of Linux's ``prctl`` (linux/prctl.h)."""

KILL_SECONDS = 5.0


def main(words: Sequence[str]) -> NoReturn:
    """Run the program, wait for its end or the starter's, and leave nothing behind."""
    lifeline, memory, folder, *command = words
    os.set_inheritable(int(lifeline), False)
    second = os.fork()
    if second:
        for number in (0, 1, 2, int(lifeline)):
            os.close(number)
        _end_alike(os.waitpid(second, 0)[1])
    _process_control(SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, int(memory), guard)
    _own_group(child)
    os.close(0)
    os.close(1)
    status = _wait(child, int(lifeline), woken)
    _kill_all(child)
    shutil.rmtree(folder, ignore_errors=True)
    _end_alike(status)


def _become(command: Sequence[str], memory: int, guard: int) -> NoReturn:
    """Turn this new process into the program."""
    _own_group(os.getpid())
    _process_control(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(CANNOT_START)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):  # Python changes them, and a program inherits that
        signal.signal(number, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    try:
        os.execvp(command[0], list(command))  # noqa: S606  (no shell is the point)
    except OSError as error:
        os.write(2, f"{command[0]!r} cannot be started: {error.strerror}\n".encode())
        os._exit(CANNOT_START)


def _own_group(process: int) -> None:
    """Give `process` a group of its own; done by both sides, since either may come first."""
    try:
        os.setpgid(process, process)
    except (PermissionError, ProcessLookupError):
        return  # it runs the program by now, and did this before


def _wait(child: int, lifeline: int, woken: int) -> int | None:
    """The program's wait status, or None where the starter let go first."""
    while True:
        ready, _, _ = select.select([lifeline, woken], [], [])
        if lifeline in ready:
            return None
        os.read(woken, 512)
        status = _reap(child)
        if status is not None:
            return status


def _reap(child: int) -> int | None:
    """Collect every ended process; the wait status of `child` if it is among them."""
    status = None
    while True:
        try:
            process, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if process == 0:
            return status
        if process == child:
            status = how


def _kill_all(child: int) -> None:
    """Kill the program's group, then whatever else has fallen to this process, until nothing is left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of the group is left to kill
        os.killpg(child, signal.SIGKILL)
    end = time.monotonic() + KILL_SECONDS
    while time.monotonic() < end:
        _reap(child)
        left = _children()
        if not left:
            return
        for process in left:
            with contextlib.suppress(PermissionError):  # it took another user's rights
                os.kill(process, signal.SIGKILL)
        time.sleep(0.005)


def _children() -> list[int]:
    """This process's children, where the system lists them."""
    try:
        return [int(word) for word in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:
        return []


def _end_alike(status: int | None) -> NoReturn:
    if status is not None and os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(0 if status is None else os.waitstatus_to_exitcode(status) & 0xFF)


def _process_control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
