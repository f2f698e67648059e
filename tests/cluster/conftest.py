"""Two Ray nodes on this machine. The second has an environment of its own, in which Audiometry is not installed."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

QUICK_HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1500",
    "RAY_health_check_failure_threshold": "3",
}
"""Ray takes half a minute to miss a node; tests do not wait so long."""


@dataclass
class Node:
    """A node that was started here, in the foreground of a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """End it, and all that it started, at once and without a word: what a lost machine looks like."""
        try:
            parent = psutil.Process(self.process.pid)
        except psutil.NoSuchProcess:
            return
        family = [parent, *parent.children(recursive=True)]
        for member in family:
            if member.is_running():
                member.kill()
        psutil.wait_procs(family, timeout=20)
        self.process.wait()


class Cluster:
    """A head with one CPU, and other nodes as they are added."""

    def __init__(self, folder: Path, other_python: Path) -> None:
        self.folder, self._other = folder, other_python
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHON"))},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ADDRESS": f"127.0.0.1:{self._port}",
            **QUICK_HEALTH,
        }
        self.nodes: list[Node] = []
        self._start(sys.executable, "--head", f"--port={self._port}", "--include-dashboard=false")
        self._wait(1)

    def add(self) -> Node:
        """Add a node in the environment without Audiometry."""
        alive = self.alive()
        node = self._start(str(self._other), f"--address=127.0.0.1:{self._port}", "--node-ip-address=127.0.0.2")
        self._wait(alive + 1)
        return node

    def alive(self) -> int:
        """How many nodes the head knows to be alive."""
        code = (
            "import json, logging, ray; ray.init(log_to_driver=False, logging_level=logging.ERROR); "
            "print(json.dumps(sum(node['Alive'] for node in ray.nodes())))"
        )
        done = subprocess.run([sys.executable, "-c", code], env=self.environment, capture_output=True, check=False)
        return int(json.loads(done.stdout)) if done.returncode == 0 else 0

    def run(self, *words: str, home: Path, private: Sequence[int] = ()) -> subprocess.Popen[str]:
        """`audiometry run` on the cluster, started; `private` are open files that only it has."""
        code = "import sys; from audiometry.benchmark.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "run", *words]
        environment = {**os.environ, **self.environment, "AUDIOMETRY_HOME": str(home)}
        return subprocess.Popen(
            command, env=environment, cwd=self.folder, pass_fds=private,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def close(self) -> None:
        """End every node."""
        for node in reversed(self.nodes):
            node.kill()

    def _start(self, python: str, *words: str) -> Node:
        scratch = Path(tempfile.mkdtemp(prefix="ray-", dir=self.folder))
        log = scratch / "start.log"
        common = ["--num-cpus=1", "--block", "--disable-usage-stats", f"--temp-dir={scratch}", "--object-store-memory"]
        command = [python, "-m", "ray.scripts.scripts", "start", *words, *common, str(100 * 2**20)]
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        node = Node(process, log)
        self.nodes.append(node)
        return node

    def _wait(self, count: int) -> None:
        deadline = time.monotonic() + 90
        while self.alive() < count:
            ended = [node.log.read_text() for node in self.nodes if node.process.poll() is not None]
            assert time.monotonic() < deadline, f"the node did not start: {ended}"
            time.sleep(0.5)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with all that is installed here but Audiometry: what a cluster's other machines have."""
    folder = tmp_path_factory.mktemp("bare")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "audiometry" not in entry.name and entry.suffix != ".pth":
            (packages / entry.name).symlink_to(entry)
    python = folder / "bin" / "python"
    command = [python, "-Ec", "import ray, audiometry"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert "No module named 'audiometry'" in done.stderr
    return python


@pytest.fixture(scope="session")
def cluster(bare_python: Path) -> Iterator[Cluster]:
    """A head with one CPU; tests add nodes."""
    folder = Path(tempfile.mkdtemp(prefix="am-"))  # short: Ray's sockets lie below, and their names have a limit
    made = None
    try:
        made = Cluster(folder, bare_python)
        yield made
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def second(cluster: Cluster) -> Iterator[Node]:
    """A second node, in an environment without Audiometry."""
    node = cluster.add()
    yield node
    node.kill()
