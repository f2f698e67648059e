"""Ray's cluster: started here or joined, what it has room for, and the signals that end a run."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

from audiometry.benchmark.errors import RunInterruptedError, UserError
from audiometry.benchmark.plan import PlannedModel
from audiometry.benchmark.shipping import check_nodes, runtime_env, shipped_plugins

__all__ = ["Stop", "check_room", "default_workers", "plugins_on_workers", "ray_cluster"]


def default_workers(model: PlannedModel, cluster: Mapping[str, Any], judged: float) -> int:
    """As many as fit in the cluster beside the judges' CPUs; a control answers at once and needs one."""
    if model.entry.control or model.resources.cpus <= 0:
        return 1
    return max(1, int((cluster.get("CPU", 1) - judged) // model.resources.cpus))


def check_room(label: str, cpus: float, gpus: float, cluster: Mapping[str, Any]) -> None:
    """Raise UserError if the cluster can never give one worker what it needs."""
    for name, wanted in (("CPU", cpus), ("GPU", gpus)):
        there = float(cluster.get(name, 0.0))
        if wanted > there:
            raise UserError(
                f"a worker of model {label!r} needs {wanted:g} {name}s and the cluster has {there:g}; "
                f"lower --{name.lower()}s or join a larger cluster with RAY_ADDRESS"
            )


@contextmanager
def ray_cluster(plugins: Sequence[str] = (), files: Sequence[str] = ()) -> Iterator[Mapping[str, Any]]:
    """Start Ray here, or join the cluster at RAY_ADDRESS; yields the cluster's resources.

    A cluster's nodes are given our code and the files `plugins`, and must see the sound `files`.

    Raises UserError for a node that cannot run our code, DataError for one that does not see a file.
    """
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # A process for each core before anything is asked for; ours have a folder of their own and never use them.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    import ray

    owned = not ray.is_initialized()
    # Ray tells of nodes that die on stdout, whatever it is told, and --json must stand there alone.
    with tempfile.TemporaryDirectory(prefix="audiometry-empty-") as empty, redirect_stdout(sys.stderr):
        if owned:
            logging.getLogger("ray").setLevel(logging.ERROR)  # it explains its own settings at length
            address = os.environ.get("RAY_ADDRESS")
            ray.init(
                address=address or "local",  # None would join a cluster that somebody else started on this machine
                # An empty folder: otherwise workers would import a bare `models` or `tasks` from the current one.
                runtime_env=runtime_env(empty, plugins=plugins) if address else {"working_dir": empty},
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=None if address else False,
                configure_logging=False,
            )
        try:
            if owned and address:
                check_nodes(files)
            resources: Mapping[str, Any] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # not annotated
            yield resources
        finally:
            if owned:
                ray.shutdown()


def plugins_on_workers(plugins: Sequence[str]) -> list[str]:
    """Where workers find the files `plugins`: where they are here, or in what was shipped to the cluster."""
    if os.environ.get("RAY_ADDRESS"):
        return shipped_plugins(plugins)
    return [str(Path(path).expanduser().absolute()) for path in plugins]


class Stop:
    """Takes Ctrl-C and SIGTERM and remembers them; `check` raises. A second one is not waited for.

    Raising from the handler itself would be quicker, but Ray's compiled code cannot pass such an error on.
    """

    def __init__(self) -> None:
        self._signal: signal.Signals | None = None
        self._before: list[dict[int, Any]] = []

    def check(self) -> None:
        """Raise RunInterruptedError if a signal has come."""
        if self._signal is not None:
            raise RunInterruptedError(f"stopped by {self._signal.name}")

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._before.append({n: signal.signal(n, self._take) for n in (signal.SIGINT, signal.SIGTERM)})
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            for number, handler in self._before.pop().items():
                signal.signal(number, handler)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._signal is not None:
            raise KeyboardInterrupt
        self._signal = signal.Signals(number)
