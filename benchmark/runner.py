"""Running a plan on Ray: one pool of workers a model, whichever is free takes the next batch."""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from audiometry.benchmark.errors import RunInterruptedError, UserError
from audiometry.benchmark.plan import Batch, Plan, batches
from audiometry.benchmark.worker import ModelFacts, Row

__all__ = ["Observer", "Outcome", "run_plan"]

log = logging.getLogger("audiometry.runner")


class Observer(Protocol):
    """Who is told what happens: the journal and the progress display."""

    def rows(self, model: int, rows: list[Row]) -> None:
        """Rows of a model have come back."""
        ...


@dataclass
class Outcome:
    """What is known once the plan has run, beside the rows that the observer took."""

    facts: dict[int, ModelFacts] = field(default_factory=dict)
    ray: Mapping[str, Any] = field(default_factory=dict)
    start_seconds: float = 0.0


def run_plan(plan: Plan, observer: Observer, *, artefacts: str | None) -> Outcome:
    """Ask everything in the plan. Rows reach `observer` as they come, in no particular order.

    Raises RunInterruptedError on Ctrl-C or SIGTERM, once the workers have ended.
    """
    began = time.perf_counter()
    with _ray() as cluster, _interruptible():  # Ray sets a handler of its own as it starts
        outcome = Outcome(ray=cluster, start_seconds=time.perf_counter() - began)
        pools = _pools(plan, artefacts, cluster)
        try:
            _drive(pools, observer)
        finally:
            for index, pool in pools.items():
                pool.close()
                if pool.facts is not None:
                    outcome.facts[index] = pool.facts
    return outcome


def _drive(pools: Mapping[int, Any], observer: Observer) -> None:
    import ray

    open_pools = dict(pools)
    while open_pools:
        for pool in open_pools.values():
            pool.fill()
        refs = [ref for pool in open_pools.values() for ref in pool.refs()]
        ready, _ = ray.wait(refs, num_returns=len(refs), timeout=0.02, fetch_local=True) if refs else ([], [])
        if not ready and refs:
            ready, _ = ray.wait(refs, num_returns=1, timeout=0.5, fetch_local=True)
        for index, pool in list(open_pools.items()):
            rows = pool.collect(set(ready))
            if rows:
                observer.rows(index, rows)
            if pool.done:
                pool.close()
                del open_pools[index]


def _pools(plan: Plan, artefacts: str | None, cluster: Mapping[str, Any]) -> dict[int, Any]:
    from audiometry.benchmark.pool import Pool

    pools = {}
    for index, model in enumerate(plan.models):
        work: list[Batch] = [b for m, t in plan.pairs if m == index for b in batches(plan, m, t)]
        workers = plan.settings.workers or _default_workers(model.resources.cpus, cluster, model.entry.control)
        _check_room(model.label, model.resources.cpus, model.resources.gpus, cluster)
        pools[index] = Pool(
            model, plan.tasks, work, workers=workers,
            sample_timeout=plan.settings.sample_timeout, start=_starter(plan, index, artefacts),
        )  # fmt: skip
    return pools


def _starter(plan: Plan, index: int, artefacts: str | None) -> Callable[[], Any]:
    from audiometry.benchmark.pool import Actor

    model = plan.models[index]
    threads = max(1, round(model.resources.cpus))

    def start() -> Any:
        options: dict[str, Any] = {"num_cpus": model.resources.cpus, "max_concurrency": 2}
        if model.resources.gpus:
            options["num_gpus"] = model.resources.gpus
        if model.resources.memory:
            options["memory"] = model.resources.memory
        return Actor.options(**options).remote(
            model.spec,
            model.entry.given,
            [task.spec for task in plan.tasks],
            plugins=plan.settings.plugins,
            threads=threads,
            artefacts=artefacts if plan.settings.keep_audio else None,
            folder=str(Path.cwd()),
        )

    return start


def _default_workers(cpus: float, cluster: Mapping[str, Any], control: bool) -> int:
    """As many as fit in the cluster; a control answers at once and needs one."""
    if control or cpus <= 0:
        return 1
    return max(1, int(cluster.get("CPU", 1) // cpus))


def _check_room(label: str, cpus: float, gpus: float, cluster: Mapping[str, Any]) -> None:
    for name, wanted in (("CPU", cpus), ("GPU", gpus)):
        there = float(cluster.get(name, 0.0))
        if wanted > there:
            raise UserError(
                f"a worker of model {label!r} needs {wanted:g} {name}s and the cluster has {there:g}; "
                f"lower --{name.lower()}s or join a larger cluster with RAY_ADDRESS"
            )


@contextmanager
def _ray() -> Iterator[Mapping[str, Any]]:
    """Start Ray here, or join the cluster at RAY_ADDRESS; yields the cluster's resources."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    owned = not ray.is_initialized()
    with tempfile.TemporaryDirectory(prefix="audiometry-empty-") as empty:
        if owned:
            address = os.environ.get("RAY_ADDRESS")
            ray.init(
                address=address,
                # An empty folder: otherwise workers would import a bare `models` or `tasks` from the current one.
                runtime_env={"working_dir": empty},
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=None if address else False,
                configure_logging=False,
            )
        try:
            resources: Mapping[str, Any] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray does not annotate it
            yield resources
        finally:
            if owned:
                ray.shutdown()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into RunInterruptedError; put the handlers back afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        raise RunInterruptedError(f"stopped by {signal.Signals(number).name}")

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
