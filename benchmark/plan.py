"""Tasks × models → what will be asked, checked before anything heavy starts."""

from __future__ import annotations

import hashlib
import operator
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.records import by_values, canonical_json
from audiometry.benchmark.registry import (
    MODELS,
    SUITES,
    TASKS,
    Entry,
    Resources,
    Spec,
    load_plugin_file,
    parse_spec,
    parse_specs,
    takes,
)
from audiometry.benchmark.seeds import derive_seed, hash_order
from audiometry.benchmark.types import Model, Sample, Suite, Target, Task

__all__ = [
    "Batch",
    "Item",
    "Plan",
    "PlannedModel",
    "PlannedTask",
    "RunSettings",
    "Skipped",
    "heard_seconds",
    "make_plan",
    "named_suites",
    "plan_tasks",
]


@dataclass(frozen=True)
class RunSettings:
    """What a run is asked to do. The command line's flags and the configuration file's keys are these fields."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    limit: int | None = None
    seed: int = 0
    workers: int | None = None
    batch_size: int | Literal["auto"] = 8
    sample_timeout: float = 600.0
    max_failures: float = 0.05
    resamples: int = 2000
    keep_audio: bool = True
    cache: bool = True
    device: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    memory: float | None = None
    plugins: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise SettingError for a value out of its range."""
        ranges: list[tuple[str, float | None, float, float]] = [
            ("limit", self.limit, 1, float("inf")),
            ("workers", self.workers, 1, 10_000),
            ("batch-size", 1 if self.batch_size == "auto" else self.batch_size, 1, 100_000),
            ("sample-timeout", self.sample_timeout, 0.001, float("inf")),
            ("max-failures", self.max_failures, 0.0, 1.0),
            ("resamples", self.resamples, 100, 1_000_000),
            ("cpus", self.cpus, 0.0, 10_000),
            ("gpus", self.gpus, 0.0, 10_000),
            ("memory", self.memory, 0.001, 1e6),
        ]
        for name, value, low, high in ranges:
            if value is not None and not low <= value <= high:
                raise SettingError(f"--{name} {value:g} is out of range; give {low:g} to {high:g}")
        if not self.models:
            raise SettingError("no model is named; give --model NAME (see: audiometry ls models)")
        if not self.tasks:
            raise SettingError("no task is named; give --tasks NAME (see: audiometry ls tasks)")


@dataclass(frozen=True)
class PlannedModel:
    """A model that will run: `label` names it in results."""

    spec: Spec
    entry: Entry[Model]
    resources: Resources

    @property
    def label(self) -> str:
        """The `label` setting where there is one, else the spec as it was typed."""
        return dict(self.spec.settings).get("label") or str(self.spec)


@dataclass(frozen=True)
class PlannedTask:
    """A task that will run. Its samples are never held: they are listed again each time they are needed.

    `size` counts them, `seconds` is their length as far as it is known, `digest` is a sha256 over what is asked (ids,
    sound, targets and slices, in order). `chosen` holds the positions taken by ``--limit``, sorted.
    """

    spec: Spec
    task: Task
    size: int
    seconds: float
    digest: str
    seed: int = 0
    chosen: tuple[int, ...] | None = None
    suite: bool = False
    """Whether only a suite named it: a model that has not its ability is then not asked, and that is told."""

    def samples(self) -> Iterator[tuple[int, Sample]]:
        """(position, sample) of each sample in the task's order, seeded. Positions count from 0 to `size` - 1."""
        for position, sample in enumerate(_chosen(self.task, self.chosen)):
            seed = derive_seed(self.seed, self.task.name, sample.id)
            yield position, sample.seeded(seed)


@by_values
@dataclass(frozen=True, slots=True)
class Item:
    """One sample to ask, where it stands in its task, and what a control is given beside it."""

    position: int
    sample: Sample
    given: Target = None


@by_values
@dataclass(frozen=True, slots=True)
class Batch:
    """Items of one task for one model, asked together. A judge's items are requests about answers, and not scored."""

    task: int
    items: tuple[Item, ...]
    judge: bool = False


@dataclass(frozen=True)
class Skipped:
    """A model that is not asked a suite's task, and the ability that it lacks."""

    model: str
    task: str
    ability: str


@dataclass(frozen=True)
class Plan:
    """Everything that will be asked. `pairs` are (model, task) positions."""

    settings: RunSettings
    models: tuple[PlannedModel, ...]
    tasks: tuple[PlannedTask, ...]
    pairs: tuple[tuple[int, int], ...] = field(default=())
    judges: Mapping[str, PlannedModel] = field(default_factory=dict)
    """The models that judge, as the tasks name them."""
    skipped: tuple[Skipped, ...] = ()
    """Tasks of suites that a model is not asked, because it has not their ability."""


def make_plan(settings: RunSettings) -> Plan:
    """Check everything that can be checked without a model, and list what will be asked.

    Raises a UserError that names the mend: an unknown name or setting, a corpus that is not prepared, a missing
    file, a model without the ability a task needs.
    """
    settings.check()
    for path in settings.plugins:
        load_plugin_file(path)
    models = tuple(_plan_model(spec, settings) for spec in parse_specs(settings.models))
    labels = [model.label for model in models]
    for label in labels:
        if labels.count(label) > 1:
            raise SettingError(f"two models are called {label!r}; give one of them another label=…")
    planned = plan_tasks(settings)
    asked, skipped = _asked(models, planned)
    tasks = tuple(planned[t] for t in dict.fromkeys(t for _, t in sorted(asked, key=operator.itemgetter(1))))
    places = {id(task): place for place, task in enumerate(tasks)}
    pairs = tuple((m, places[id(planned[t])]) for m, t in asked)
    judges = {name: _plan_model(parse_spec(name), settings) for task in tasks for name in task.task.judges}
    return Plan(settings=settings, models=models, tasks=tasks, pairs=pairs, judges=judges, skipped=tuple(skipped))


def _asked(models: Sequence[PlannedModel], tasks: Sequence[PlannedTask]) -> tuple[list[tuple[int, int]], list[Skipped]]:
    """Which model is asked which task, and which tasks of suites it is not able to do."""
    pairs: list[tuple[int, int]] = []
    skipped: list[Skipped] = []
    for m, model in enumerate(models):
        abilities = MODELS.abilities(model.spec)
        able = ", ".join(sorted(abilities)) or "nothing"
        mine: list[tuple[int, int]] = []
        for t, planned in enumerate(tasks):
            ability = planned.task.ability
            if ability in abilities:
                if model.entry.given == "other target" and planned.size < 2:
                    raise SettingError(f"model {model.label!r} needs at least two samples; raise --limit")
                mine.append((m, t))
            elif planned.suite:
                skipped.append(Skipped(model.label, planned.task.name, ability))
            else:
                raise UserError(
                    f"model {model.label!r} cannot {ability}, which task {planned.task.name!r} asks; it can: {able}"
                )
        if not mine:
            raise UserError(f"model {model.label!r} can do no task of these suites; it can: {able}")
        pairs += mine
    return pairs, skipped


def plan_tasks(settings: RunSettings) -> tuple[PlannedTask, ...]:
    """The tasks of a run, suites expanded, every sample looked at once.

    Raises a UserError as `make_plan` does.
    """
    specs: dict[Spec, bool] = {}
    for named in parse_specs(settings.tasks):
        suite = _is_suite(named)
        for spec in _expand(named):
            specs[spec] = suite and specs.get(spec, True)
    for spec in specs:
        TASKS.check(spec)
    _is_file.cache_clear()
    tasks = _planned(specs, settings)
    names = [task.task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"two tasks are called {name!r}; run them apart")
    return tasks


def _planned(specs: Mapping[Spec, bool], settings: RunSettings) -> tuple[PlannedTask, ...]:
    """Each task, planned. What is wrong with several is told at once: they are mended together."""
    tasks: list[PlannedTask] = []
    problems: dict[str, None] = {}
    for spec, suite in specs.items():
        try:
            tasks.append(replace(_plan_task(spec, settings), suite=suite))
        except DataError as error:
            problems[str(error)] = None
    if problems:
        raise DataError("; ".join(problems))
    return tuple(tasks)


def heard_seconds(sample: Sample) -> float:
    """Length of a sample's sound, as far as it is known."""
    seconds = 0.0
    for audio in sample.request.audios.values():
        seconds += audio.seconds or 0.0
    return seconds


def _chosen(task: Task, chosen: tuple[int, ...] | None) -> Iterator[Sample]:
    if chosen is None:
        yield from task.samples()
        return
    wanted = iter(chosen)
    following = next(wanted, None)
    for position, sample in enumerate(task.samples()):
        if following is None:
            return
        if position == following:
            yield sample
            following = next(wanted, None)


def _plan_model(spec: Spec, settings: RunSettings) -> PlannedModel:
    if settings.device is not None and takes(MODELS.get(spec.name), "device"):
        spec = Spec(spec.name, tuple(sorted({"device": settings.device, **dict(spec.settings)}.items())))
    entry = MODELS.check(spec)
    base = entry.resources
    memory = base.memory if settings.memory is None else int(settings.memory * 2**30)
    return PlannedModel(
        spec=spec,
        entry=entry,
        resources=Resources(
            cpus=base.cpus if settings.cpus is None else settings.cpus,
            gpus=base.gpus if settings.gpus is None else settings.gpus,
            memory=memory,
        ),
    )


def named_suites(settings: RunSettings) -> dict[str, Suite]:
    """The suites among the tasks that were asked for, by name."""
    return {spec.name: SUITES.create(spec) for spec in parse_specs(settings.tasks) if _is_suite(spec)}


def _is_suite(spec: Spec) -> bool:
    return spec.name in SUITES.names() and not spec.settings


def _expand(spec: Spec) -> list[Spec]:
    return parse_specs(list(SUITES.create(spec).weights)) if _is_suite(spec) else [spec]


def _plan_task(spec: Spec, settings: RunSettings) -> PlannedTask:
    task = TASKS.create(spec)
    chosen = None
    if settings.limit is not None:
        order = hash_order((sample.id for sample in task.samples()), first=settings.limit)
        chosen = tuple(sorted(order))
    size, seconds, digest = 0, 0.0, hashlib.sha256(f"{task.name}\x1f{task.version}".encode())
    ids = array("Q")
    missing: tuple[str, str] | None = None
    lost = 0
    for sample in _chosen(task, chosen):
        size += 1
        seconds += heard_seconds(sample)
        digest.update(_described(sample))
        ids.append(derive_seed(0, sample.id))
        for audio in sample.request.audios.values():
            if "://" not in audio.path and not _is_file(audio.path):
                missing = missing or (sample.id, audio.path)
                lost += 1
    if missing is not None:
        raise DataError(
            f"task {task.name!r}: {lost} audio files are missing, the first for sample {missing[0]!r}: {missing[1]}; "
            "restore them, or prepare the corpus again"
        )
    if size == 0:
        raise DataError(f"task {task.name!r} has no samples; check its corpus with: audiometry ls corpora")
    if len(np.unique(np.frombuffer(ids, dtype=np.uint64))) != size:
        raise DataError(f"task {task.name!r} has two samples called {_twice(task)!r}; ids must differ")
    return PlannedTask(spec, task, size, seconds, digest.hexdigest(), settings.seed, chosen)


@lru_cache(maxsize=10_000)
def _is_file(path: str) -> bool:
    """Remembered, as the spans of one recording come one after the other."""
    return Path(path).is_file()


def _described(sample: Sample) -> bytes:
    """What is asked and expected, as bytes that do not depend on where the files lie."""
    audios = [
        (
            role,
            audio.digest or audio.path.rpartition("/")[2],
            audio.start,
            audio.end,
            [repr(step) for step in audio.transforms],
        )
        for role, audio in sorted(sample.request.audios.items())
    ]
    line = [sample.id, audios, sample.request.text, sample.request.instruction, str(sample.target)]
    return canonical_json([*line, sorted(sample.slices.items())])


def _twice(task: Task) -> str:
    seen: set[str] = set()
    for sample in task.samples():
        if sample.id in seen:
            return sample.id
        seen.add(sample.id)
    raise AssertionError("no id occurs twice")
