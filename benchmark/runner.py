"""Running a plan: what is cached is served, the rest is asked of a pool for each model.

Models that compute here run on Ray's workers; models that work elsewhere are waited for by one local process.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from audiometry.benchmark.answers import Done, Pending
from audiometry.benchmark.batching import LARGEST
from audiometry.benchmark.cache import Cache
from audiometry.benchmark.errors import RunInterruptedError, UserError
from audiometry.benchmark.plan import Item, Plan
from audiometry.benchmark.registry import MODELS
from audiometry.benchmark.rows import Row
from audiometry.benchmark.waiter import Opening
from audiometry.benchmark.waiting import WaitingPool
from audiometry.benchmark.worker import ModelFacts

__all__ = ["Observer", "Outcome", "run_plan"]

WAIT_SECONDS = 0.5
TURN_SECONDS = 0.02
"""How long to wait for one kind of pool while there are both."""
GATHER_SECONDS = 0.01


class _AnyPool(Protocol):
    """What a phase asks of a pool, wherever its model works."""

    facts: ModelFacts | None

    @property
    def done(self) -> bool: ...
    @property
    def pipe(self) -> Connection | None: ...
    def refs(self) -> list[Any]: ...
    def fill(self) -> None: ...
    def collect(self, ready: set[Any]) -> list[tuple[Item, Row]]: ...
    def close(self) -> None: ...
    def utilisation(self) -> dict[str, float]: ...


class Observer(Protocol):
    """Who is told what happens: the journal and the progress display."""

    def answered(self, model: int, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Samples of a model were answered and scored."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...


@dataclass
class Outcome:
    """What is known once the plan has run, beside the answers that the observer took."""

    facts: dict[int, ModelFacts] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    start_seconds: float = 0.0
    asked_seconds: float = 0.0
    """From the beginning until the last answer, Ray's start apart; the start of workers is in it."""
    utilisation: dict[int, dict[str, float]] = field(default_factory=dict)
    """Where each model's workers spent their time; where a model ran in several phases, added up."""


@dataclass
class _Run:
    """What the phases of one run share."""

    plan: Plan
    observer: Observer
    done: Done
    cache: Cache | None
    artefacts: str
    outcome: Outcome
    stack: ExitStack
    stop: _Stop

    def cluster(self) -> Mapping[str, Any]:
        """The resources of Ray's cluster; Ray is started, or joined, when first asked."""
        if not self.outcome.cluster:
            began = time.perf_counter()
            self.outcome.cluster = self.stack.enter_context(_ray())
            self.stack.enter_context(self.stop)  # Ray has set a handler of its own as it started
            self.outcome.start_seconds = time.perf_counter() - began
        return self.outcome.cluster


def run_plan(plan: Plan, observer: Observer, *, done: Done, cache: Cache | None, artefacts: str) -> Outcome:
    """Ask everything in the plan that is not done. Answers reach `observer` as they come, in no particular order.

    What the cache holds is served first; Ray is started only if something is left to ask. Tasks that want the machine
    to themselves come last, one model at a time. `artefacts` is the folder for sound that models make.

    Raises RunInterruptedError on Ctrl-C or SIGTERM, once the workers have ended.
    """
    outcome = Outcome()
    began = time.perf_counter()
    with _Stop() as stop, ExitStack() as stack:
        run = _Run(plan, observer, done, cache, artefacts, outcome, stack, stop)
        for phase in _phases(plan):
            _run_phase(run, phase)
        outcome.asked_seconds = time.perf_counter() - began - outcome.start_seconds
    return outcome


def _phases(plan: Plan) -> Iterator[dict[int, list[int]]]:
    """Tasks by model: all that may run side by side, then each exclusive pair alone."""
    shared: dict[int, list[int]] = {}
    for m, t in plan.pairs:
        if not plan.tasks[t].task.exclusive:
            shared.setdefault(m, []).append(t)
    if shared:
        yield shared
    for m, t in plan.pairs:
        if plan.tasks[t].task.exclusive:
            yield {m: [t]}


def _run_phase(run: _Run, phase: Mapping[int, list[int]]) -> None:
    pools: dict[int, _AnyPool] = {}
    try:
        for index, tasks in phase.items():
            run.stop.check()
            pool = _make_pool(run, index, tasks)
            if pool is not None:
                pools[index] = pool
        _drive(pools, run)
    finally:
        for index, pool in pools.items():
            pool.close()
            if pool.facts is not None:
                run.outcome.facts[index] = pool.facts
            _add_use(run.outcome.utilisation.setdefault(index, {}), pool.utilisation())


def _add_use(sums: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        added = name.endswith("_seconds")
        sums[name] = round(sums.get(name, 0.0) + value, 3) if added else max(sums.get(name, 0.0), value)


def _make_pool(run: _Run, index: int, tasks: list[int]) -> _AnyPool | None:
    """A pool with work left to do; None if the cache, or the run so far, had every answer."""
    plan = run.plan
    model = plan.models[index]
    if all(run.done.count(index, t) == plan.tasks[t].size for t in tasks):
        return None
    emit = functools.partial(run.observer.answered, index)
    pending = Pending(plan, index, tasks, done=run.done, cache=run.cache, artefacts=run.artefacts, emit=emit)
    fingerprint = MODELS.fingerprint(model.spec)
    facts = None
    first = None
    batches = pending.batches()
    if fingerprint is not None:
        facts = ModelFacts(fingerprint, model.entry.deterministic)
        run.outcome.facts[index] = facts
        pending.learn(facts)
        first = next(batches, None)
        if first is None:
            return None
    exclusive = any(plan.tasks[t].task.exclusive for t in tasks)
    if model.entry.waits:
        opening = _opening(run, index, alone=exclusive)
        return WaitingPool(plan.tasks, pending, batches, first=first, facts=facts, opening=opening)
    from audiometry.benchmark.pool import Pool

    cluster = run.cluster()
    _check_room(model.label, model.resources.cpus, model.resources.gpus, cluster)
    workers = plan.settings.workers or _default_workers(model.resources.cpus, cluster, model.entry.control)
    return Pool(
        plan.tasks, pending, batches, first=first, facts=facts, workers=1 if exclusive else workers,
        sample_timeout=plan.settings.sample_timeout, start=_starter(run, index),
    )  # fmt: skip


def _drive(pools: Mapping[int, _AnyPool], run: _Run) -> None:
    open_pools = dict(pools)
    while open_pools:
        for pool in open_pools.values():
            pool.fill()
        ready = _ready(open_pools.values())
        for index, pool in list(open_pools.items()):
            pairs = pool.collect(ready)
            if pairs:
                run.observer.answered(index, pairs)
            if pool.done:
                pool.close()
                del open_pools[index]
        run.observer.tick()
        run.stop.check()


def _ready(pools: Iterable[_AnyPool]) -> set[Any]:
    """The references that are complete; waits a while for the first, or for a pipe, then gathers what else is there."""
    refs = [ref for pool in pools for ref in pool.refs()]
    pipes = [pool.pipe for pool in pools if pool.pipe is not None]
    if pipes:
        connection.wait(pipes, timeout=TURN_SECONDS if refs else WAIT_SECONDS)
    if not refs:
        return set()
    import ray

    ready, left = ray.wait(refs, num_returns=1, timeout=0 if pipes else WAIT_SECONDS, fetch_local=True)
    if ready and left:
        more, _ = ray.wait(left, num_returns=len(left), timeout=GATHER_SECONDS, fetch_local=True)
        ready += more
    return set(ready)


def _opening(run: _Run, index: int, *, alone: bool) -> Opening:
    settings, model = run.plan.settings, run.plan.models[index]
    return Opening(
        model.spec, tuple(task.spec for task in run.plan.tasks), settings.plugins, decodes=model.entry.waveforms,
        artefacts=run.artefacts if settings.keep_audio else None, sample_timeout=settings.sample_timeout, alone=alone,
    )  # fmt: skip


def _starter(run: _Run, index: int) -> Callable[[int | None], Any]:
    plan = run.plan
    model = plan.models[index]

    def start(largest: int | None) -> Any:
        from audiometry.benchmark.pool import Actor

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
            threads=max(1, round(model.resources.cpus)),
            decodes=model.entry.waveforms,
            artefacts=run.artefacts if plan.settings.keep_audio else None,
            folder=str(Path.cwd()),
            largest_batch=(largest or LARGEST) if plan.settings.batch_size == "auto" else None,
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
            logging.getLogger("ray").setLevel(logging.ERROR)  # it explains its own settings at length
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
            resources: Mapping[str, Any] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # not annotated
            yield resources
        finally:
            if owned:
                ray.shutdown()


class _Stop:
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

    def __enter__(self) -> _Stop:
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
