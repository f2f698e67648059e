"""Tasks × models → what will be asked, checked before anything heavy starts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.registry import (
    MODELS,
    SUITES,
    TASKS,
    Entry,
    Resources,
    Spec,
    load_plugin_file,
    parse_specs,
    takes,
)
from audiometry.benchmark.seeds import derangement, derive_seed, hash_order
from audiometry.benchmark.types import Model, Sample, Target, Task

__all__ = ["Batch", "Item", "Plan", "PlannedModel", "PlannedTask", "RunSettings", "batches", "make_plan"]


@dataclass(frozen=True)
class RunSettings:
    """What a run is asked to do. The command line's flags and the configuration file's keys are these fields."""

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    limit: int | None = None
    seed: int = 0
    workers: int | None = None
    batch_size: int = 8
    sample_timeout: float = 600.0
    max_failures: float = 0.05
    resamples: int = 2000
    keep_audio: bool = True
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
            ("batch-size", self.batch_size, 1, 100_000),
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
    """A task that will run, with its samples in the task's own order."""

    spec: Spec
    task: Task
    samples: tuple[Sample, ...]

    @property
    def digest(self) -> str:
        """sha256 over what is asked: ids, audio references and their digests, targets and slices."""
        digest = hashlib.sha256(f"{self.task.name}\x1f{self.task.version}".encode())
        for sample in self.samples:
            audios = [
                (
                    role,
                    audio.digest or Path(audio.path).name,
                    audio.start,
                    audio.end,
                    [repr(t) for t in audio.transforms],
                )
                for role, audio in sorted(sample.request.audios.items())
            ]
            line = [sample.id, audios, sample.request.text, sample.request.instruction, str(sample.target)]
            digest.update(json.dumps([*line, sorted(sample.slices.items())], sort_keys=True).encode())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Item:
    """One sample to ask, where it stands in its task, and what a control is given beside it."""

    position: int
    sample: Sample
    given: Target = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Items of one task for one model, asked together."""

    task: int
    items: tuple[Item, ...]

    @property
    def seconds(self) -> float:
        """Length of the sound in it, as far as it is known."""
        return sum(audio.seconds or 0.0 for item in self.items for audio in item.sample.request.audios.values())


@dataclass(frozen=True)
class Plan:
    """Everything that will be asked."""

    settings: RunSettings
    models: tuple[PlannedModel, ...]
    tasks: tuple[PlannedTask, ...]
    pairs: tuple[tuple[int, int], ...] = field(default=())
    """(model, task) positions."""


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
    specs = [part for spec in parse_specs(settings.tasks) for part in _expand(spec)]
    for spec in specs:
        TASKS.check(spec)
    tasks = tuple(_plan_task(spec, settings) for spec in dict.fromkeys(specs))
    names = [task.task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise SettingError(f"two tasks are called {name!r}; run them apart")
    pairs = []
    for m, model in enumerate(models):
        for t, planned in enumerate(tasks):
            if planned.task.ability not in model.entry.abilities:
                able = ", ".join(sorted(model.entry.abilities)) or "nothing"
                raise UserError(
                    f"model {model.label!r} cannot {planned.task.ability}, which task {planned.task.name!r} asks; "
                    f"it can: {able}"
                )
            if model.entry.given == "other target" and len(planned.samples) < 2:
                raise SettingError(f"model {model.label!r} needs at least two samples; raise --limit")
            pairs.append((m, t))
    return Plan(settings=settings, models=models, tasks=tasks, pairs=tuple(pairs))


def batches(plan: Plan, model: int, task: int) -> list[Batch]:
    """The batches of one (model, task), longest sound first so that padding is small and the last batch is short.

    They depend on the plan alone, never on how many workers there are.
    """
    planned = plan.tasks[task]
    items = list(_items(plan, model, planned))
    items.sort(key=lambda item: (-_seconds(item.sample), item.position))
    size = plan.settings.batch_size
    return [Batch(task, tuple(items[i : i + size])) for i in range(0, len(items), size)]


def _items(plan: Plan, model: int, planned: PlannedTask) -> Iterator[Item]:
    given = plan.models[model].entry.given
    samples = planned.samples
    partner: Sequence[int] = ()
    if given == "other target":
        partner = derangement([sample.id for sample in samples], derive_seed(plan.settings.seed, planned.task.name))
    for position, sample in enumerate(samples):
        if given == "own target":
            yield Item(position, sample, sample.target)
        elif given == "other target":
            yield Item(position, sample, samples[partner[position]].target)
        elif given == "sample id":
            yield Item(position, sample, sample.id)
        else:
            yield Item(position, sample)


def _seconds(sample: Sample) -> float:
    return sum(audio.seconds or 0.0 for audio in sample.request.audios.values())


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


def _expand(spec: Spec) -> list[Spec]:
    if spec.name in SUITES.names() and not spec.settings:
        return parse_specs(SUITES.create(spec))
    return [spec]


def _plan_task(spec: Spec, settings: RunSettings) -> PlannedTask:
    task = TASKS.create(spec)
    samples = list(task.samples())
    if not samples:
        raise DataError(f"task {task.name!r} has no samples; check its corpus with: audiometry ls corpora")
    seen: set[str] = set()
    for sample in samples:
        if sample.id in seen:
            raise DataError(f"task {task.name!r} has two samples called {sample.id!r}; ids must differ")
        seen.add(sample.id)
    _check_files(task.name, samples)
    if settings.limit is not None:
        chosen = sorted(hash_order(sample.id for sample in samples)[: settings.limit])
        samples = [samples[position] for position in chosen]
    seeded = tuple(
        replace(sample, request=replace(sample.request, seed=derive_seed(settings.seed, task.name, sample.id)))
        for sample in samples
    )
    return PlannedTask(spec=spec, task=task, samples=seeded)


def _check_files(task: str, samples: Sequence[Sample]) -> None:
    """Raise DataError if a local audio file is not there: hours later would be too late."""
    paths = {audio.path: sample.id for sample in samples for audio in sample.request.audios.values()}
    missing = [path for path in paths if "://" not in path and not Path(path).is_file()]
    if missing:
        raise DataError(
            f"task {task!r}: {len(missing)} of {len(paths)} audio files are missing, the first for sample "
            f"{paths[missing[0]]!r}: {missing[0]}; restore them, or prepare the corpus again"
        )
