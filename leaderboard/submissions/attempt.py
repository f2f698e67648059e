"""One attempt at a submission: fetch its files, run the suite in a box of its own, check and keep what it leaves.

The process in the box is not trusted: it writes a run folder and a scratch store that nobody reads. What the run
folder says is checked here against what the suite asks (`published`), and only then put into the store.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from audiometry.benchmark import paths
from audiometry.benchmark.errors import AudiometryError
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.checks import FileFact
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.isolation import NOBODY, REFUSED, Box, RunLimits, python_folders, start
from audiometry.leaderboard.submissions.manifest import from_document, spec_of
from audiometry.leaderboard.submissions.published import Expected, expected, published
from audiometry.leaderboard.submissions.queue import Submission
from audiometry.leaderboard.submissions.scratch import check_written

__all__ = ["AttemptError", "Done", "Setting", "Tell", "run_suite"]

Tell = Callable[[float | None, float | None], None]
"""Called with the share of samples answered and the seconds left; raises where the attempt is to end."""

LOOK_SECONDS = 0.5
WEIGH_SECONDS = 2.0
"""How often the memory of all processes, and what they wrote, is added up."""

TAIL_BYTES = 20_000
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
"""What of the environment is passed on: no token, no key, no database."""


class AttemptError(AudiometryError):
    """An attempt that failed, though not by the submission's fault as far as we know; it may go well another time."""


@dataclass(frozen=True)
class Done:
    """What an attempt gave: a run.json and results to be put in, and the folder of the evidence."""

    run: Mapping[str, Any]
    results: Sequence[Result]
    folder: Path


@dataclass(frozen=True)
class Setting:
    """How a worker runs suites: where files are fetched, the limits, the operator's plug-in files, and whether the
    isolation is left out (`network`)."""

    artefacts: ArtefactStore
    limits: RunLimits = field(default_factory=RunLimits)
    plugins: tuple[str, ...] = ()
    network: bool = False
    known: dict[str, Expected] = field(default_factory=dict)
    """What each suite asks, as far as it was looked up."""


def run_suite(submission: Submission, folder: Path, tell: Tell, setting: Setting) -> Done:
    """Run the submission's suite in the empty scratch `folder`.

    Raises SubmissionError where the submission is at fault, AttemptError where something else failed, a UserError
    where this worker cannot run the suite at all (a corpus that is not prepared), and what `tell` raises.
    """
    began = datetime.now(UTC)
    asked = setting.known.get(submission.suite)
    if asked is None:
        asked = setting.known[submission.suite] = expected(submission.suite, setting.plugins)
    files = folder / "submission"
    files.mkdir()
    setting.artefacts.fetch([FileFact(**file) for file in submission.files], files)
    manifest = from_document(submission.manifest)
    spec = spec_of(manifest, files)
    _open_to_all(files)
    box = _box(folder, files, setting)
    command = _command(spec, submission.suite, folder, setting)
    _run(command, box, folder, _Counter(folder / "out" / "run" / "journal.jsonl", asked), tell)
    isolation = "none" if setting.network else "no network, namespaces of its own"
    facts = {"submission": submission.id, "digest": submission.digest, "isolation": isolation}
    return Done(*published(submission, folder, asked, spec_of(manifest, Path()), facts, began))


def _command(spec: str, suite: str, folder: Path, setting: Setting) -> list[str]:
    words = [sys.executable, "-P", "-m", "audiometry.benchmark.cli", "run", "-m", spec, "-t", suite]
    plugins = [f"--plugin={Path(path).expanduser().absolute()}" for path in setting.plugins]
    return [*words, *plugins, "--no-cache", "--quiet", f"--output-path={folder / 'out' / 'run'}"]


def _box(folder: Path, files: Path, setting: Setting) -> Box:
    """The scratch home and the folder for results, which may be written, and what may be read."""
    corpora = paths.corpora_folder()
    plugins = [str(Path(path).expanduser().absolute()) for path in setting.plugins]
    read = [*python_folders(), *plugins, str(files)]
    if corpora.is_dir():
        linked = [str(entry.resolve()) for entry in (corpora, *corpora.iterdir()) if entry.is_symlink()]
        read += [str(corpora), *linked]
    write = [folder / "home", folder / "out"]
    for one in write:
        one.mkdir()
    (folder / "home" / "corpora").symlink_to(corpora)
    if os.geteuid() == 0 and not setting.network:
        for one in write:
            os.chown(one, NOBODY, NOBODY)
    return Box(read=tuple(read), write=tuple(map(str, write)), limits=setting.limits, network=setting.network)


def _open_to_all(files: Path) -> None:
    """Let whoever root becomes in the box read the files; no other user of the machine gets to the scratch folder."""
    for one in (files, *files.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)


def _environment(folder: Path, limits: RunLimits) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    store = min(2 * 2**30, limits.memory // 4, limits.file_size // 2)
    home = folder / "home"
    return kept | {
        "HOME": str(home), "AUDIOMETRY_HOME": str(home), "AUDIOMETRY_STORE": f"sqlite:///{home / 'store.db'}",
        "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEFAULT_OBJECT_STORE_MAX_MEMORY_BYTES": str(store),
    }  # fmt: skip


def _run(command: Sequence[str], box: Box, folder: Path, counter: _Counter, tell: Tell) -> None:
    """Run the command in its box to its end, within its limits; raises as `run_suite` does."""
    errors = folder / "err"
    with errors.open("wb") as err, (folder / "log").open("wb") as out:
        environment = _environment(folder, box.limits)
        process = start(command, box, environment=environment, folder=folder, out=out, err=err)
        try:
            code = _watch(process, box.limits, counter, tell, folder)
        finally:
            _end(process)
    if code == 0:
        return
    said = _last_lines(errors).replace(f"{folder}/submission/", "").replace(str(folder), "…")
    line = next((line for line in reversed(said.splitlines()) if line.startswith("audiometry: ")), "")
    if code == REFUSED:
        raise AttemptError(said.strip().rpartition("\n")[2] or "the kernel refuses the isolation")
    if code == 2 and line:
        raise SubmissionError(f"the run failed: {line.removeprefix('audiometry: ')}")
    raise AttemptError(f"the run ended with exit code {code}: {said.strip().rpartition(chr(10))[2] or 'no message'}")


def _watch(process: subprocess.Popen[bytes], limits: RunLimits, counter: _Counter, tell: Tell, folder: Path) -> int:
    """Wait for the end of the process, tell how far it is, and hold it to its time, its memory and its disk."""
    deadline, weigh = time.monotonic() + limits.seconds, 0.0
    while True:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            tell(*counter.look())
        now = time.monotonic()
        if now > deadline:
            raise SubmissionError(f"the run took more than {limits.seconds / 60:g} minutes; submit a quicker model")
        if now > weigh:
            if (used := _memory(process.pid)) > limits.memory:
                raise SubmissionError(
                    f"the run took {used / 2**30:.1f} GiB of memory, more than {limits.memory / 2**30:.1f}; "
                    "submit a smaller model"
                )
            check_written(
                folder, folder / "submission", [one.pid for one in _family(process.pid)],
                most_bytes=limits.disk, most_files=limits.files,
            )  # fmt: skip
            took = time.monotonic() - now
            weigh = now + max(WEIGH_SECONDS, 10 * took)  # many files take long to look at


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(pid: int) -> int:
    """Bytes that a process and all below it take, what they share counted once."""
    total = 0
    for process in _family(pid):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started; in a box the kernel does the latter."""
    family = _family(process.pid)
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(family, timeout=30)


def _last_lines(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
        return stream.read().decode(errors="replace")


class _Counter:
    """Counts the answers in a journal that another process writes."""

    def __init__(self, journal: Path, asked: Expected) -> None:
        self._journal = journal
        self._total = sum(task["samples"] for task in asked.tasks.values())
        self._place = self._done = 0
        self._began = math.nan

    def look(self) -> tuple[float | None, float | None]:
        """The share of samples that were answered, and the seconds left if the rest takes as long; None if unknown."""
        try:
            descriptor = os.open(self._journal, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # not yet there, or there no more
            return (None, None) if not self._done else (1.0, 0.0)
        with os.fdopen(descriptor, "rb") as stream:
            stream.seek(self._place)
            while part := stream.read(2**20):
                self._place += len(part)
                self._done += part.count(b"\n")
        now = time.monotonic()
        if not self._done:
            self._began = now
            return 0.0, None
        share = min(self._done / self._total, 1.0)
        passed = now - self._began if math.isfinite(self._began) else 0.0
        return share, passed * (1.0 - share) / share if passed > 0 else None
