"""The box: what a process in it cannot reach, see, use or outlive."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from audiometry.leaderboard.submissions import isolation
from audiometry.leaderboard.submissions.isolation import (
    NOBODY,
    NOT_STARTED,
    REFUSED,
    Box,
    RunLimits,
    python_folders,
    refusal,
    start,
)

ENVIRONMENT = {"PATH": os.defpath}


@dataclass
class Boxed:
    """What a Python text did in a box."""

    code: int
    said: Any
    err: str


Try = Callable[..., Boxed]


@pytest.fixture
def attempt(tmp_path: Path) -> Try:
    """Runs a Python text in a box that may write one folder; it prints one JSON value."""
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)

    def run(text: str, *, limits: RunLimits | None = None, network: bool = False, read: tuple[str, ...] = ()) -> Boxed:
        box = Box(
            read=(*python_folders(), *read), write=(str(work),), limits=limits or RunLimits(), network=network
        )  # fmt: skip
        with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
            words = [sys.executable, "-P", "-c", text]
            code = start(words, box, environment=ENVIRONMENT, folder=work, out=out, err=err).wait(60)
        said = (tmp_path / "out").read_text()
        return Boxed(code, json.loads(said) if said else None, (tmp_path / "err").read_text())

    return run


NETWORK = """
import json, socket
said = {"interfaces": [name for _, name in socket.if_nameindex()]}
for name, place in {"outside": ("192.0.2.1", 80), "host": ("127.0.0.1", PORT)}.items():
    with socket.socket() as one:
        one.settimeout(5)
        try:
            one.connect(place)
            said[name] = "reached"
        except OSError as error:
            said[name] = error.strerror
with socket.socket(socket.AF_UNIX) as one:
    try:
        one.connect("\\0audiometry-test-NAME")
        said["unix"] = "reached"
    except OSError as error:
        said["unix"] = error.strerror
with socket.create_server(("127.0.0.1", 0)) as server:
    with socket.create_connection(server.getsockname()):
        said["loopback"] = "reached"
said["name"] = socket.gethostbyname(socket.gethostname())
print(json.dumps(said))
"""


def test_nothing_but_its_own_loopback_can_be_reached(attempt: Try) -> None:
    name = str(os.getpid())
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0audiometry-test-{name}")
        unix.listen()
        text = NETWORK.replace("PORT", str(server.getsockname()[1])).replace("NAME", name)
        boxed = attempt(text)
        assert attempt(text, network=True).said["host"] == "reached"  # so the test would see a hole
        assert attempt(text, network=True).said["unix"] == "reached"
    assert boxed.said == {
        "interfaces": ["lo"], "outside": "Network is unreachable", "host": "Connection refused",
        "unix": "Connection refused", "loopback": "reached", "name": "127.0.0.1",
    }  # fmt: skip


FILES = """
import json, os
def look(does):
    try:
        return does()
    except OSError as error:
        return error.strerror
print(json.dumps({
    "secret": look(lambda: open("SECRET").read()),
    "given": look(lambda: open("GIVEN").read()),
    "shadow": look(lambda: open("/etc/shadow").read()),
    "var": look(lambda: os.listdir("/var")),
    "over given": look(lambda: open("GIVEN", "w").write("x")),
    "over packages": look(lambda: open(json.__file__, "w").write("x")),
    "into etc": look(lambda: open("/usr/x", "w").write("x")),
    "mine": look(lambda: open("mine", "w").write("x")),
    "tmp": look(lambda: open("/tmp/x", "w").write("x")),
    "others": look(lambda: [one for one in os.listdir("/proc") if one.isdecimal() and int(one) > 2]),
}))
"""


def test_only_what_was_given_can_be_seen_and_only_its_folder_written(attempt: Try, tmp_path: Path) -> None:
    secret, given = tmp_path / "secret", tmp_path / "given"
    for file in (secret, given):
        file.write_text("content")
        file.chmod(0o666)
    boxed = attempt(FILES.replace("SECRET", str(secret)).replace("GIVEN", str(given)), read=(str(given),))
    assert boxed.said == {
        "secret": "No such file or directory", "given": "content", "shadow": "No such file or directory",
        "var": "No such file or directory", "over given": "Read-only file system",
        "over packages": "Read-only file system", "into etc": "Read-only file system", "mine": 1, "tmp": 1,
        "others": [],
    }  # fmt: skip
    assert given.read_text() == "content"
    assert (tmp_path / "work" / "mine").read_text() == "x"


RIGHTS = """
import ctypes, json, os, socket
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
def look(does):
    try:
        return does()
    except OSError as error:
        return error.strerror
library = ctypes.CDLL(None, use_errno=True)
said = {name: status[name] for name in ("NoNewPrivs", "CapEff", "CapPrm", "CapInh", "CapAmb")}
said |= {"uid": os.getuid(), "root": look(lambda: os.setuid(0)), "groups": os.getgroups()}
said["mount"] = library.mount(b"none", b"/tmp", b"tmpfs", 0, None)
said["hostname"] = look(lambda: socket.sethostname("mine"))
print(json.dumps(said))
"""


def test_it_has_no_rights_and_gains_none(attempt: Try) -> None:
    none = "0" * 16
    uid = NOBODY if os.geteuid() == 0 else os.getuid()
    groups = [] if os.geteuid() == 0 else os.getgroups()
    said = attempt(RIGHTS).said
    assert said.pop("groups") in (groups, [NOBODY] * len(groups))
    assert said == {
        "NoNewPrivs": "1", "CapEff": none, "CapPrm": none, "CapInh": none, "CapAmb": none, "uid": uid,
        "root": "Operation not permitted", "mount": -1, "hostname": "Operation not permitted",
    }  # fmt: skip


INNER = """
import os, sys, json
from pathlib import Path
from audiometry.leaderboard.submissions.isolation import Box, python_folders, start
text = "import os, socket, json; print(json.dumps([os.getuid(), [n for _, n in socket.if_nameindex()], os.getpid()]))"
folder = Path("inner")
folder.mkdir()
box = Box(read=tuple(python_folders()), write=(str(folder.absolute()),))
given = {"environment": dict(os.environ), "folder": folder, "out": sys.stdout.buffer, "err": sys.stderr.buffer}
raise SystemExit(start([sys.executable, "-P", "-c", text], box, **given).wait())
"""


def test_a_plain_user_can_box_too(attempt: Try) -> None:
    boxed = attempt(INNER)  # in a box one is a plain user
    assert boxed.code == 0, boxed.err
    uid = NOBODY if os.geteuid() == 0 else os.getuid()
    assert boxed.said == [uid, ["lo"], 2]


LIMITED = """
import json, os
def look(does):
    try:
        does()
        return "done"
    except (MemoryError, OSError) as error:
        return type(error).__name__
def write():
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open("large", "wb") as file:
        file.write(bytes(3 * 2**20))
def fork():
    started = []
    try:
        for _ in range(200):
            pid = os.fork()
            if pid == 0:
                os.pause() if hasattr(os, "pause") else __import__("signal").pause()
            started.append(pid)
    finally:
        for pid in started:
            os.kill(pid, 9)
print(json.dumps({
    "memory": look(lambda: bytearray(300 * 2**20)), "file": look(write), "small": look(lambda: bytearray(2**20)),
    "processes": look(fork), "tmp": look(lambda: open("/dev/shm/x", "wb").write(bytes(2**20))),
}))
"""


def test_limits_hold(attempt: Try) -> None:
    limits = RunLimits(memory=200 * 2**20, file_size=2 * 2**20, processes=50)
    said = attempt(LIMITED, limits=limits).said
    assert said == {
        "memory": "MemoryError", "file": "OSError", "small": "done", "processes": "BlockingIOError", "tmp": "done",
    }  # fmt: skip
    assert attempt(LIMITED, limits=RunLimits(memory=200 * 2**20), network=True).said["memory"] == "MemoryError"


def processes_with(word: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if word in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def gone(word: str, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while processes_with(word):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


LINGERING = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "WORD"], start_new_session=True)
time.sleep(REST)
"""


def lingering(word: str, rest: float) -> str:
    return LINGERING.replace("WORD", word).replace("REST", str(rest))


def test_what_it_started_ends_with_it(attempt: Try) -> None:
    word = f"lingering-{os.getpid()}-a"
    assert attempt(lingering(word, 0.3)).code == 0
    assert gone(word)


def wait_for(word: str, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(processes_with(word)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_killing_it_ends_all(tmp_path: Path) -> None:
    word = f"lingering-{os.getpid()}-b"
    tmp_path.chmod(0o777)
    with (tmp_path / "said").open("wb") as said:
        box = Box(read=tuple(python_folders()), write=(str(tmp_path),))
        text = [sys.executable, "-c", lingering(word, 600.0)]
        started = start(text, box, environment=ENVIRONMENT, folder=tmp_path, out=said, err=said)
        wait_for(word, 4)  # the launcher, the first process of the box, the command and what it started
        started.kill()
        started.wait()
    assert gone(word)


OWNER = """
import sys, time
from pathlib import Path
from audiometry.leaderboard.submissions.isolation import Box, python_folders, start
box = Box(read=tuple(python_folders()), write=(sys.argv[1],), network=sys.argv[2] == "open")
words = [sys.executable, "-c", "import time; time.sleep(600)", sys.argv[3]]
start(words, box, environment={}, folder=Path(sys.argv[1]), out=sys.stdout.buffer, err=sys.stderr.buffer)
time.sleep(600)
"""


@pytest.mark.parametrize("network", ["open", "none"])
def test_it_ends_with_whoever_started_it(tmp_path: Path, network: str) -> None:
    word = f"lingering-{os.getpid()}-{network}"
    tmp_path.chmod(0o777)
    owner = subprocess.Popen([sys.executable, "-P", "-c", OWNER, str(tmp_path), network, word])
    wait_for(word, 2 if network == "open" else 4)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert gone(word)


def test_exit_codes(attempt: Try) -> None:
    assert attempt("raise SystemExit(3)").code == 3
    assert attempt("import os; os.kill(os.getpid(), 9)").code == 128 + 9
    assert attempt("import os; os.kill(os.getpid(), 11)", network=True).code in (-11, 128 + 11)


def test_a_kernel_that_refuses_is_told(tmp_path: Path) -> None:
    """In a user namespace that allows no network namespaces, as containers often do."""
    text = "from audiometry.leaderboard.submissions.isolation import refusal; print(refusal())"
    shell = f'echo 0 > /proc/sys/user/max_net_namespaces && exec "{sys.executable}" -P -c "{text}"'
    done = subprocess.run(
        ["/usr/bin/unshare", "-Ur", "/bin/sh", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "the kernel refuses the isolation: unshare: No space left on device\n"
    assert refusal() == ""


def test_a_refusal_without_a_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def started(*_: object, **given: Any) -> subprocess.Popen[bytes]:
        del given
        return subprocess.Popen([sys.executable, "-c", f"raise SystemExit({REFUSED})"])

    monkeypatch.setattr(isolation, "start", started)
    assert refusal() == f"exit code {REFUSED}"


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as said:
        box = Box(read=tuple(python_folders()), write=(str(tmp_path),))
        started = start(["nothing-of-that-name"], box, environment=ENVIRONMENT, folder=tmp_path, out=said, err=said)
        assert started.wait(30) == NOT_STARTED
    assert (tmp_path / "said").read_text() == "cannot start nothing-of-that-name: No such file or directory\n"


ASKED = """
import json, sys
from audiometry.leaderboard.submissions.isolation import python_folders
print(json.dumps({"path": sys.path, "folders": python_folders()}))
"""


@pytest.mark.parametrize("where", ["home/work", "home", "user", "elsewhere"])
def test_the_folder_it_was_started_in_and_homes_are_not_shown(tmp_path: Path, where: str) -> None:
    """``python -m`` puts the current folder on Python's path, and PYTHONPATH may name anything."""
    for name in ("home/work", "user", "elsewhere", "library"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / where / "asked_for_folders.py").write_text(ASKED)
    path = os.pathsep.join(str(tmp_path / name) for name in ("", "home", "library"))
    homes = {"AUDIOMETRY_HOME": str(tmp_path / "home"), "HOME": str(tmp_path / "user")}
    done = subprocess.run(
        [sys.executable, "-m", "asked_for_folders"], cwd=tmp_path / where, capture_output=True, text=True, check=True,
        env={**ENVIRONMENT, **homes, "PYTHONPATH": path},
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert str(tmp_path / where) in said["path"]
    assert [one for one in said["folders"] if one.startswith(str(tmp_path))] == [str(tmp_path / "library")]
    assert str(tmp_path) not in said["folders"]
    assert str(Path(isolation.__file__).parents[1]) in said["folders"]
