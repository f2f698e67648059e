"""The command line in processes of its own, disturbed, and what it leaves behind."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).parent
WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str


class CommandLine:
    """``audiometry`` in processes of their own, with one home folder; everything that they start can be found."""

    def __init__(self, folder: Path, ray: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self._ray = ray
        self._count = 0

    def words(self, *words: str) -> list[str]:
        """The words of a run with this folder's plug-ins."""
        plugins = [f"--plugin={HERE / name}" for name in ("breaking.py", "disturbing.py")]
        return ["run", *plugins, "--resamples=100", "--json", "--quiet", *words]

    def start(
        self, words: Sequence[str], *, fault: str = "", before: Callable[[], None] | None = None
    ) -> subprocess.Popen[str]:
        """Start a command; `fault` is for `disturbing.py`, `before` runs in the new process."""
        self._count += 1
        given = {"AUDIOMETRY_HOME": str(self.home), "RAY_TMPDIR": str(self._ray), "AUDIOMETRY_TEST_FAULT": fault}
        given |= {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}
        names = [self.folder / f"{self._count}.{name}" for name in ("out", "err")]
        with names[0].open("w") as out, names[1].open("w") as err:
            started = subprocess.Popen(
                [sys.executable, "-m", "audiometry.benchmark.cli", *words],
                env={name: value for name, value in os.environ.items() if name != "AUDIOMETRY_STORE"} | given,
                stdout=out, stderr=err, start_new_session=True, text=True,
                preexec_fn=before,  # noqa: PLW1509  # it calls nothing but the kernel
            )  # fmt: skip
        started.names = names  # type: ignore[attr-defined]
        return started

    def end(self, started: subprocess.Popen[str]) -> Ended:
        """Wait until a command ends."""
        code = started.wait(WAIT_SECONDS)
        out, err = (name.read_text(errors="replace") for name in started.names)  # type: ignore[attr-defined]
        return Ended(code, out, err)

    def run(self, words: Sequence[str], *, fault: str = "", before: Callable[[], None] | None = None) -> Ended:
        """Run a command to its end."""
        return self.end(self.start(words, fault=fault, before=before))

    @staticmethod
    def obey_permissions() -> None:
        """Make root heed files' permissions as others must: drop the two capabilities that override them."""
        if os.geteuid() == 0:
            for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
                if ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                    os._exit(99)

    def left(self) -> list[psutil.Process]:
        """Processes that still run with this home folder: a driver, or what it started."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("AUDIOMETRY_HOME") == str(self.home)
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def wait_until_nothing_is_left(self, seconds: float = 30.0) -> list[str]:
        """Command lines of what still runs after `seconds`."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return [str(process) for process in left]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line with a home folder of the test's own."""
    ray = Path(tempfile.mkdtemp(prefix="am-", dir="/tmp"))  # Ray's sockets allow no long names
    made = CommandLine(tmp_path, ray)
    yield made
    for process in made.left():
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(made.left(), timeout=30)
    shutil.rmtree(ray, ignore_errors=True)
