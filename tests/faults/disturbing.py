"""A plug-in file that disturbs the driver which loads it, as ``AUDIOMETRY_TEST_FAULT`` says. Workers are left alone.

``SIGKILL@finish+37``: the driver gets the signal 37 calls (or returns) of the engine after it entered `finish`, or when
it leaves it. ``SIGINT*2@ray_cluster+0.5s``: two signals, half a second after. ``SIGTERM@_encoded:9+0``: when it enters
`_encoded` for the ninth time. ``torn@3``: most of the journal's third write, then SIGKILL. ``small@20000``: once the
first answers are journaled, no file of the driver may grow beyond so many bytes. ``swap@FOLDER``: when everything is
planned, the recordings in FOLDER named swap-… become what no recording is.
"""

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

from audiometry.benchmark import paths

ENGINE = str(Path(paths.__file__).parent)


def _strike(names):
    """Ctrl-C reaches every process of the terminal, other signals only the driver."""
    for name in names:
        number = signal.Signals[name]
        if number == signal.SIGINT:
            os.killpg(os.getpgrp(), number)
        else:
            os.kill(os.getpid(), number)


class _Clock:
    """Counts the engine's calls after it entered a function, and strikes."""

    def __init__(self, names, function, after):
        self.function, _, number = function.partition(":")
        self.names, self.entries = names, int(number or 1)
        self.seconds = float(after[:-1]) if after.endswith("s") else None
        self.calls = None if self.seconds is not None else int(after)
        self.inside = None

    def __call__(self, frame, event, _):
        if not frame.f_code.co_filename.startswith(ENGINE):
            return
        if self.inside is None:
            self.entries -= event == "call" and frame.f_code.co_name == self.function
            if self.entries:
                return
            self.inside = frame
            if self.seconds is not None:
                self._end()
                threading.Thread(target=self._later, daemon=True).start()
                return
        elif frame is self.inside and event == "return":
            self.calls = 0
        if self.calls == 0:
            self._end()
            _strike(self.names)
        else:
            self.calls -= 1

    def _later(self):
        time.sleep(self.seconds)
        _strike(self.names)

    def _end(self):
        sys.setprofile(None)


class _Appends:
    """Does something at the journal's first, second, … write."""

    def __init__(self, number, action):
        self.number, self.action = number, action

    def __call__(self, frame, event, function):
        if event == "c_call" and frame.f_code.co_name == "append" and function.__name__ == "write":
            self.number -= 1
            if self.number == 0:
                sys.setprofile(None)
                self.action(frame.f_locals)


def _tear(local):
    left = bytes(local["left"])
    os.write(local["self"]._file.fileno(), left[: len(left) - 20])
    os.kill(os.getpid(), signal.SIGKILL)


def _swap(folder):
    def change(frame, event, _):
        if event == "call" and frame.f_code.co_name == "run_plan" and frame.f_code.co_filename.startswith(ENGINE):
            sys.setprofile(None)
            for path in sorted(Path(folder).glob("swap-*")):
                path.unlink()
                kind = path.name.split("-")[1]
                if kind == "fifo":
                    os.mkfifo(path)
                elif kind == "folder":
                    path.mkdir()
                elif kind == "loop":
                    path.symlink_to(path)
                elif kind == "endless":
                    path.symlink_to("/dev/zero")

    return change


def _arm(fault):
    what, _, where = fault.partition("@")
    if what == "torn":
        sys.setprofile(_Appends(int(where), _tear))
    elif what == "small":
        limit = int(where)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        sys.setprofile(_Appends(1, lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))))
    elif what == "swap":
        sys.setprofile(_swap(where))
    else:
        name, _, times = what.partition("*")
        function, _, after = where.partition("+")
        sys.setprofile(_Clock([name] * int(times or 1), function, after))


if os.environ.get("AUDIOMETRY_TEST_FAULT") and "default_worker" not in sys.argv[0]:
    _arm(os.environ["AUDIOMETRY_TEST_FAULT"])
