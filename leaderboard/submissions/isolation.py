"""A process with limits, no network and a small read-only world: what a checkpoint from outside is run in.

`start` starts a command through this module's own command line, which asks the Linux kernel for namespaces of its own:

- network: a loopback alone, which Ray needs; nothing else can be reached;
- files: the system's programs, Python, our packages and the paths in `Box.read`, all read-only; the folders in
  `Box.write`; a `/tmp` and a `/dev/shm` in memory. Nothing else of the machine can be seen;
- processes: whatever is started ends with the command, and the command with whoever started it.

Root becomes nobody inside; a plain user gets a user namespace and stays who they are. Nothing inside can gain rights.
Where the kernel refuses any of that, the command is not started.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, NoReturn

from audiometry.benchmark import paths

__all__ = ["NOBODY", "NOT_STARTED", "REFUSED", "Box", "RunLimits", "main", "python_folders", "refusal", "start"]

NOBODY = 65534
"""Who root becomes."""

REFUSED = 97
"""The exit code when the kernel refuses the isolation; the reason is the last line on stderr."""

OURS = ("benchmark", "tasks", "models", "reward", "safety", "leaderboard")
NOT_STARTED = 127
"""The exit code of a command that is not there, as a shell has it."""

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "sys")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime", "nsswitch.conf", "OpenCL")
DEVICES = ("null", "zero", "full", "random", "urandom")
HOSTS = "127.0.0.1 localhost worker\n::1 localhost\n"
USERS = "root:x:0:0::/:/usr/sbin/nologin\nmodel:x:{uid}:{gid}::/tmp:/usr/sbin/nologin\n"
GROUPS = "root:x:0:\nmodel:x:{gid}:\n"

# from <sched.h>, <sys/mount.h>, <sys/prctl.h>, <linux/mount.h> and <linux/sockios.h>
NEW_NS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PID, NEW_NET = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
NOSUID, NODEV, BIND, REC, PRIVATE, DETACH = 2, 4, 4096, 16384, 1 << 18, 2
SET_DEATH_SIGNAL, SET_NO_NEW_PRIVILEGES = 1, 38
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_READ_ONLY, ATTR_NOSUID = 442, -100, 0x8000, 1, 2
GET_FLAGS, SET_FLAGS, INTERFACE_UP = 0x8913, 0x8914, 1


LIBRARY = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class RunLimits:
    """What a command may use: bytes of memory, bytes of any one file, processes and threads of the user, seconds, bytes
    of disk and number of files in all.

    The memory is each process's own (``RLIMIT_DATA``), and that of `/tmp` and `/dev/shm`; whoever starts the command
    watches the sum, the clock, and what is written.
    """

    memory: int = 8 * 2**30
    file_size: int = 4 * 2**30
    processes: int = 4096
    seconds: float = 6 * 3600.0
    disk: int = 64 * 2**30
    files: int = 1_000_000


@dataclass(frozen=True)
class Box:
    """What a command sees beside the system: folders and files to `read`, folders to `write`. `network` leaves the
    isolation out and sets the limits alone."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    limits: RunLimits = RunLimits()
    network: bool = False


def start(
    command: Sequence[str], box: Box, *, environment: Mapping[str, str], folder: Path, out: IO[bytes], err: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a command in the box, in `folder`; it ends with this process. Killing it ends all that it has started."""
    document = json.dumps(asdict(box))
    words = [sys.executable, "-P", "-m", "audiometry.leaderboard.submissions.isolation", document, str(os.getpid())]
    return subprocess.Popen(
        [*words, *command], env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        start_new_session=True,
    )  # fmt: skip


def refusal() -> str:
    """Why nothing can be isolated on this machine; empty where it can."""
    with TemporaryDirectory(prefix="audiometry-probe-") as name:
        folder = Path(name)
        errors = folder / "err"
        with errors.open("wb") as err:
            box = Box(read=tuple(python_folders()), write=(name,))
            folder.chmod(0o755)  # root becomes somebody else inside
            asked = start(
                [sys.executable, "-c", "raise SystemExit(0)"], box, environment={"PATH": os.defpath}, folder=folder,
                out=err, err=err,
            )  # fmt: skip
            code = asked.wait()
        if code == 0:
            return ""
        lines = errors.read_text(errors="replace").strip().splitlines() or [f"exit code {code}"]
        return lines[-1]


def python_folders() -> list[str]:
    """Folders that Python, our packages and every plug-in need; no home, and not the folder we were started in."""
    needed = (path for path in sys.path if path and not _private(Path(path)))
    found = {sys.prefix, sys.base_prefix, sysconfig.get_path("stdlib"), *needed}
    points = [point for group in ("audiometry.plugins", "audiometry.commands") for point in entry_points(group=group)]
    packages = {f"audiometry.{name}" for name in OURS}
    packages |= {
        part for point in points for part in (point.module.split(".")[0], ".".join(point.module.split(".")[:2]))
    }
    for package in sorted(packages):
        try:
            spec = find_spec(package)
        except ImportError:  # a broken plug-in tells so when one of its names is asked for
            continue
        found |= set(spec.submodule_search_locations or ()) if spec is not None else set()
    return sorted(str(Path(path).absolute()) for path in found if Path(path).exists())


def _private(path: Path) -> bool:
    """Whether a folder of Python's path holds a home, or is there for being the current one (as ``python -m`` adds it).

    Our packages and plug-ins below it are found one by one.
    """
    place = path.resolve()
    homes = (paths.home().resolve(), Path("~").expanduser().resolve())
    return place == Path.cwd() or any(home.is_relative_to(place) for home in homes)


def main(arguments: Sequence[str]) -> int:
    """``BOX PARENT COMMAND …``: enter the box and run the command; returns its exit code, or `REFUSED`."""
    document = json.loads(arguments[0])
    limits = RunLimits(**document.pop("limits"))
    box = Box(**{**document, "limits": limits})
    command = list(arguments[2:])
    _control(SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != int(arguments[1]):  # it ended before that took effect
        return 1
    if box.network:
        _run(limits, command, None)
    me = None if os.geteuid() else (NOBODY, NOBODY)
    reads, writes = os.pipe()
    try:
        _unshare(root=me is not None)
        first = os.fork()  # the first process of the new process namespace
    except OSError as error:
        return _refused(error)
    if first == 0:
        os.close(writes)
        _control(SET_DEATH_SIGNAL, signal.SIGKILL)
        if not select.select([reads], [], [], 0)[0]:  # else our parent has ended already
            os._exit(_first(box, command, me))
        os._exit(1)
    return _code(os.waitpid(first, 0)[1])


def _first(box: Box, command: list[str], me: tuple[int, int] | None) -> int:
    """Furnish the box, start the command in it and wait; when this ends, the kernel ends every process of the box."""
    where = Path.cwd()
    try:
        _loopback()
        socket.sethostname("worker")
        _furnish(box, *(me or (os.geteuid(), os.getegid())))
        os.chdir(where)
        started = os.fork()
    except OSError as error:
        return _refused(error)
    if started == 0:
        _run(box.limits, command, me)
    while True:
        ended, status = os.wait()
        if ended == started:
            return _code(status)


def _run(limits: RunLimits, command: list[str], me: tuple[int, int] | None) -> NoReturn:
    """Become the command, without any right, and `me` where that is another user."""
    try:
        if me is not None:
            os.setgroups([])
            os.setresgid(me[1], me[1], me[1])
            os.setresuid(me[0], me[0], me[0])
        _control(SET_NO_NEW_PRIVILEGES, 1)
        _limit(limits)
    except (OSError, ValueError) as error:
        os._exit(_refused(error))
    try:
        os.execvp(command[0], command)  # noqa: S606  # no shell is meant
    except OSError as error:
        print(f"cannot start {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_STARTED)


def _limit(limits: RunLimits) -> None:
    """Set the limits that each process has; none may be raised above what it was."""
    wanted = {
        resource.RLIMIT_DATA: limits.memory, resource.RLIMIT_FSIZE: limits.file_size,
        resource.RLIMIT_NPROC: limits.processes, resource.RLIMIT_CORE: 0,
    }  # fmt: skip
    for name, value in wanted.items():
        hard = resource.getrlimit(name)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (most, most))


def _unshare(*, root: bool) -> None:
    uid, gid = os.geteuid(), os.getegid()
    flags = NEW_NS | NEW_UTS | NEW_IPC | NEW_PID | NEW_NET
    _call("unshare", flags if root else flags | NEW_USER)
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _loopback() -> None:
    """Bring the loopback up: a new network namespace has it, but down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        request = struct.pack("16sH22x", b"lo", 0)
        _, flags = struct.unpack("16sH22x", fcntl.ioctl(asked, GET_FLAGS, request))
        fcntl.ioctl(asked, SET_FLAGS, struct.pack("16sH22x", b"lo", flags | INTERFACE_UP))


def _furnish(box: Box, uid: int, gid: int) -> None:
    """Make the small world on `/tmp`, which only this process then sees so, and make that the root."""
    _mount("none", "/", "", REC | PRIVATE)
    read = [*(f"/{name}" for name in SYSTEM), *(f"/etc/{name}" for name in ETC), *box.read]
    devices = [f"/dev/{name}" for name in DEVICES] + [str(path) for path in Path("/dev").glob("nvidia*")]
    held = {path: _held(path) for path in (*read, *box.write, *devices)}  # what is mounted next hides some of them
    new = Path("/tmp")  # noqa: S108  # any folder that is there
    _mount("tmpfs", str(new), "tmpfs", NOSUID | NODEV, "mode=0755,size=16m")
    size = f"mode=1777,size={box.limits.memory}"
    for name in ("tmp", "dev", "dev/shm"):
        (new / name).mkdir()
        if name != "dev":
            _mount("tmpfs", str(new / name), "tmpfs", NOSUID | NODEV, size)
    (new / "etc").mkdir()
    for name, text in {"hosts": HOSTS, "passwd": USERS, "group": GROUPS}.items():
        (new / "etc" / name).write_text(text.format(uid=uid, gid=gid))
    (new / "proc").mkdir()
    _mount("proc", str(new / "proc"), "proc", NOSUID | NODEV)
    for path, source in sorted(held.items()):  # what holds another comes before it
        if source is not None:
            _attach(path, source, new, read_only=path in read)
    os.chdir(new)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", DETACH)
    os.chdir("/")


def _held(path: str) -> int | str | None:
    """A path held open, where a link leads, or None where nothing is."""
    if Path(path).is_symlink() and path.count("/") == 1:
        return str(Path(path).readlink())
    return os.open(path, os.O_PATH | os.O_CLOEXEC) if Path(path).exists() else None


def _attach(path: str, source: int | str, new: Path, *, read_only: bool) -> None:
    """Show what is held at its old path in the new world."""
    place = new / path.lstrip("/")
    if isinstance(source, str):
        place.symlink_to(source)
        return
    held = f"/proc/self/fd/{source}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir() if Path(held).is_dir() else place.touch()
    _mount(held, str(place), "", BIND | REC)
    if read_only:
        attributes = struct.pack("QQQQ", ATTR_READ_ONLY | ATTR_NOSUID, 0, 0, 0)
        _call("syscall", MOUNT_SETATTR, AT_FDCWD, bytes(place), AT_RECURSIVE, attributes, len(attributes))
    os.close(source)


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    words = [word.encode() or None for word in (source, target, kind)]
    _call("mount", *words, ctypes.c_ulong(flags), data.encode() or None)


def _control(option: int, value: int) -> None:
    _call("prctl", option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the C library.

    Raises OSError, naming it, where it fails.
    """
    if getattr(LIBRARY, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _refused(error: Exception) -> int:
    reason = getattr(error, "strerror", None) or str(error)
    print(f"the kernel refuses the isolation: {reason}", file=sys.stderr, flush=True)
    return REFUSED


def _code(status: int) -> int:
    """A wait status as a shell tells it: 128 and the signal for a process that was killed."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
