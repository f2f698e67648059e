"""Running a plan: what is cached is served, the rest is asked of a pool for each model.

Models that compute here run on Ray's workers; models that work elsewhere are waited for by one local process.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from audiometry.benchmark.answers import Done, Pending
from audiometry.benchmark.batching import LARGEST
from audiometry.benchmark.cache import Cache
from audiometry.benchmark.cluster import Stop, check_room, default_workers, plugins_on_workers, ray_cluster
from audiometry.benchmark.energy import CpuTime
from audiometry.benchmark.errors import RunInterruptedError
from audiometry.benchmark.judging import BACKLOG, JudgeQueue, Judging
from audiometry.benchmark.logs import RAY_STARTED
from audiometry.benchmark.plan import Item, Plan, PlannedModel
from audiometry.benchmark.registry import MODELS
from audiometry.benchmark.rows import Row
from audiometry.benchmark.waiter import Opening
from audiometry.benchmark.waiting import WaitingPool
from audiometry.benchmark.worker import ModelFacts

__all__ = ["Observer", "Outcome", "run_plan"]

log = logging.getLogger("audiometry.runner")

WAIT_SECONDS = 0.5
TURN_SECONDS = 0.02
"""How long to wait for one kind of pool while there are both."""


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

    def tick(self, *, closing: bool = False) -> None:
        """Time has passed; with `closing`, workers are about to be ended."""
        ...

    def used(self, cpu: CpuTime) -> None:
        """A worker tells what it has used so far."""
        ...


@dataclass
class Outcome:
    """What is known once the plan has run, beside the answers that the observer took."""

    facts: dict[int, ModelFacts] = field(default_factory=dict)
    judges: dict[str, ModelFacts] = field(default_factory=dict)
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
    stop: Stop
    judging: Judging
    learned: Callable[[int | str, ModelFacts], None]

    def learn_judge(self, name: str, facts: ModelFacts | None) -> None:
        """Take, once, what a judge says of itself, and pass it on before its judgements are."""
        if facts is not None and name not in self.outcome.judges:
            self.outcome.judges[name] = facts
            self.learned(name, facts)

    def learn(self, index: int, facts: ModelFacts | None) -> None:
        """Take, once, what a model says of itself, and pass it on before the model is asked anything."""
        if facts is not None and index not in self.outcome.facts:
            self.outcome.facts[index] = facts
            self.learned(index, facts)

    def _first_files(self) -> list[str]:
        """A sound file of each task: where these are seen, the others are too."""
        firsts = [next(planned.samples())[1].request.audios for planned in self.plan.tasks]
        return [audio.path for audios in firsts for audio in list(audios.values())[:1]]

    @property
    def kept(self) -> str | None:
        """Where workers put sound that models make; judges hear it there."""
        return self.artefacts if self.plan.settings.keep_audio or self.plan.judges else None

    def answered(self, model: int, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Pass on what is scored, and have the rest judged."""
        final = self.judging.take(model, pairs)
        if final:
            self.observer.answered(model, final)

    def judged(self, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Pass on the samples that judges' answers complete."""
        for model, final in self.judging.collect(pairs).items():
            self.observer.answered(model, final)

    def cluster(self) -> Mapping[str, Any]:
        """The resources of Ray's cluster; Ray is started, or joined, when first asked."""
        if not self.outcome.cluster:
            began = time.perf_counter()
            try:
                self.outcome.cluster = self.stack.enter_context(
                    ray_cluster(self.plan.settings.plugins, self._first_files())
                )
            except SystemExit:  # Ray has a handler of its own while it starts
                raise RunInterruptedError("stopped by SIGTERM") from None
            self.stack.enter_context(self.stop)  # Ray has set a handler of its own as it started
            self.outcome.start_seconds = time.perf_counter() - began
            told = {name: self.outcome.cluster.get(name, 0) for name in ("CPU", "GPU")}
            log.info(RAY_STARTED, extra={"seconds": round(self.outcome.start_seconds, 3), **told})
        return self.outcome.cluster


def run_plan(
    plan: Plan,
    observer: Observer,
    *,
    done: Done,
    cache: Cache | None,
    artefacts: str,
    learned: Callable[[int | str, ModelFacts], None],
) -> Outcome:
    """Ask everything in the plan that is not done. Answers reach `observer` as they come, in no particular order.

    What the cache holds is served first; Ray is started only if something is left to ask. Tasks that want the machine
    to themselves come last, one model at a time. `artefacts` is the folder for sound that models make. `learned` is
    told each model's facts (by its place in the plan) and each judge's (by its name) as soon as they are known; what
    it raises ends the run before anybody is asked.

    Raises RunInterruptedError on Ctrl-C or SIGTERM, once the workers have ended.
    """
    Path(artefacts).mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    began = time.perf_counter()
    with Stop() as stop, ExitStack() as stack:
        judging = Judging(plan, cache, artefacts)
        run = _Run(plan, observer, done, cache, artefacts, outcome, stack, stop, judging, learned)
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
    judges: dict[str, _AnyPool] = {}
    try:
        for index, tasks in phase.items():
            run.stop.check()
            pool = _make_pool(run, index, tasks)
            if pool is not None:
                pools[index] = pool
        _drive(pools, judges, run)
    finally:
        run.observer.tick(closing=True)
        for index, pool in pools.items():
            pool.close()
            if pool.facts is not None:
                run.outcome.facts[index] = pool.facts  # now with the seconds that loading took
            _add_use(run.outcome.utilisation.setdefault(index, {}), pool.utilisation())
        for name, pool in judges.items():
            pool.close()
            run.learn_judge(name, pool.facts)


def _add_use(sums: dict[str, float], more: Mapping[str, float]) -> None:
    for name, value in more.items():
        added = name.endswith("_seconds")
        sums[name] = round(sums.get(name, 0.0) + value, 3) if added else max(sums.get(name, 0.0), value)


def _make_pool(run: _Run, index: int, tasks: list[int]) -> _AnyPool | None:
    """A pool with work left to do; None if the cache, or the run so far, had every answer."""
    plan = run.plan
    model = plan.models[index]
    fingerprint = MODELS.fingerprint(model.spec)
    facts = None if fingerprint is None else ModelFacts(fingerprint, model.entry.deterministic)
    run.learn(index, facts)
    if all(run.done.count(index, t) == plan.tasks[t].size for t in tasks):
        return None
    emit = functools.partial(run.answered, index)
    pending = Pending(plan, index, tasks, done=run.done, cache=run.cache, artefacts=run.artefacts, emit=emit)
    first = None
    batches = pending.batches()
    if facts is not None:
        pending.learn(facts)
        first = next(batches, None)
        if first is None:
            return None
    exclusive = any(plan.tasks[t].task.exclusive for t in tasks)
    if model.entry.waits:
        opening = _opening(run, model, alone=exclusive)
        return WaitingPool(plan.tasks, pending, batches, first=first, facts=facts, opening=opening)
    from audiometry.benchmark.pool import Pool

    cluster = run.cluster()
    check_room(model.label, model.resources.cpus, model.resources.gpus, cluster)
    judged = sum(judge.resources.cpus for t in tasks for judge in _judges(plan, t) if not judge.entry.waits)
    workers = plan.settings.workers or default_workers(model, cluster, judged)
    return Pool(
        plan.tasks, pending, batches, first=first, facts=facts, workers=1 if exclusive else workers,
        sample_timeout=plan.settings.sample_timeout, start=_starter(run, model), label=model.label,
        used=run.observer.used,
    )  # fmt: skip


def _judges(plan: Plan, task: int) -> list[PlannedModel]:
    return [plan.judges[name] for name in plan.tasks[task].task.judges]


def _drive(pools: Mapping[int, _AnyPool], judges: dict[str, _AnyPool], run: _Run) -> None:
    open_pools = dict(pools)
    while open_pools or run.judging.open:
        _judge(judges, run)
        if run.judging.open < BACKLOG:  # or the judges could not keep up, and answers would pile up
            for pool in open_pools.values():
                pool.fill()
        ready = _ready([*open_pools.values(), *judges.values()])
        for index, pool in list(open_pools.items()):
            pairs = pool.collect(ready)
            run.learn(index, pool.facts)
            if pairs:
                run.answered(index, pairs)
            if pool.done:
                run.observer.tick(closing=True)
                pool.close()
                del open_pools[index]
        for name, pool in judges.items():
            judged = pool.collect(ready)
            run.learn_judge(name, pool.facts)
            run.judged(judged)
        run.observer.tick()
        run.stop.check()


def _judge(judges: dict[str, _AnyPool], run: _Run) -> None:
    """Hand judges what waits for them, and start those whose answers are not all in the cache."""
    for name, queue in run.judging.queues.items():
        if name in judges:
            judges[name].fill()
        elif queue and (pool := _make_judge(run, name, queue)) is not None:
            judges[name] = pool
            pool.fill()
        run.judged(queue.served())


def _make_judge(run: _Run, name: str, queue: JudgeQueue) -> _AnyPool | None:
    model, tasks = run.plan.judges[name], run.plan.tasks
    fingerprint = MODELS.fingerprint(model.spec)
    facts = first = None
    if fingerprint is not None:
        facts = ModelFacts(fingerprint, model.entry.deterministic)
        run.learn_judge(name, facts)
        queue.learn(facts)
        first = next(queue, None)
        if first is None:
            return None
    if model.entry.waits:
        opening = _opening(run, model, alone=False)
        return WaitingPool(tasks, queue, queue, first=first, facts=facts, opening=opening, judging=True)
    from audiometry.benchmark.pool import Pool

    cluster = run.cluster()
    check_room(name, model.resources.cpus, model.resources.gpus, cluster)
    busiest = max((asked.resources.cpus for asked in run.plan.models), default=0.0)
    room = busiest + model.resources.cpus <= cluster.get("CPU", 1)
    if not room:  # it would wait for ever for those whose answers it judges
        model = replace(model, resources=replace(model.resources, cpus=0.0))
    return Pool(
        tasks, queue, queue, first=first, facts=facts, workers=1, sample_timeout=run.plan.settings.sample_timeout,
        start=_starter(run, model), label=name, used=run.observer.used,
    )  # fmt: skip


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
        more, _ = ray.wait(left, num_returns=len(left), timeout=0, fetch_local=True)
        ready += more
    return set(ready)


def _opening(run: _Run, model: PlannedModel, *, alone: bool) -> Opening:
    settings = run.plan.settings
    return Opening(
        model.spec, tuple(task.spec for task in run.plan.tasks), settings.plugins, decodes=model.entry.waveforms,
        artefacts=run.kept, sample_timeout=settings.sample_timeout, alone=alone,
    )  # fmt: skip


def _starter(run: _Run, model: PlannedModel) -> Callable[[int | None], Any]:
    plan = run.plan

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
            plugins=plugins_on_workers(plan.settings.plugins),
            threads=max(1, round(model.resources.cpus)),
            decodes=model.entry.waveforms,
            artefacts=run.kept,
            folder=str(Path.cwd()),
            largest_batch=(largest or LARGEST) if plan.settings.batch_size == "auto" else None,
        )

    return start
