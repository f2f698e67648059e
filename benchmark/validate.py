"""What moves a model's answers beside the question: the batch, the order, the repetition; and whether it grows.

Every pass has a process of its own, so that no pass can leave anything to the next: six passes, in the first order at
batch 1, shuffled at batch 1, and in the first order at batch N, each twice. Nothing is scored and nothing cached.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from audiometry.benchmark.errors import SettingError, UnfinishedRunError, UserError
from audiometry.benchmark.plan import Item, Plan, RunSettings, heard_seconds, make_plan
from audiometry.benchmark.registry import MODELS, PLUGIN_FILES, SUITES, TASKS, Spec, load_plugin_file, parse_specs
from audiometry.benchmark.seeds import derive_seed, hash_order
from audiometry.benchmark.types import Output
from audiometry.benchmark.validate_checks import Check, Memory, Outputs, changed, memory_growth, repeated
from audiometry.benchmark.validate_child import Opening
from audiometry.benchmark.validate_subject import Subject
from audiometry.benchmark.windows import windows
from audiometry.benchmark.worker import ModelFacts

__all__ = ["Report", "Speed", "ValidateSettings", "validate"]

FURTHER_PASSES = 3
"""Passes after the last one in the same process, at least, from which the growth of memory is told."""

FURTHER_BATCHES = 8
"""How many batches these passes have at least."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class ValidateSettings:
    """What is validated and how. `tolerance` is the difference of numbers that counts as none."""

    model: str
    task: str | None = None
    samples: int = 32
    batch_size: int = 8
    seed: int = 0
    tolerance: float = 1e-4
    sample_timeout: float = 600.0
    device: str | None = None
    cpus: float | None = None
    plugins: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise SettingError for a value out of its range."""
        ranges = [
            ("samples", self.samples, 2, 100_000),
            ("batch-size", self.batch_size, 2, 100_000),
            ("tolerance", self.tolerance, 0.0, float("inf")),
        ]
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise SettingError(f"--{name} {value:g} is out of range; give {low:g} to {high:g}")


@dataclass(frozen=True)
class Speed:
    """Throughput of one batch size: the median of its passes, the model's own time alone, its first batch included."""

    batch_size: int
    samples_per_second: float
    rtfx: float | None


@dataclass(frozen=True)
class Report:
    """What `audiometry validate` found. `statuses` are those of the first pass; `load_seconds` one for each process."""

    model: str
    task: str
    samples: int
    batch_size: int
    tolerance: float
    fingerprint: str
    deterministic: bool
    statuses: Mapping[str, int]
    checks: tuple[Check, ...]
    memory: Memory
    speeds: tuple[Speed, ...]
    load_seconds: tuple[float, ...]

    @property
    def problems(self) -> list[str]:
        """What moves although the model says, or everybody expects, that it does not."""
        found = [check.name for check in self.checks if check.verdict == "moves" and self.deterministic]
        return [*found, *(["memory"] if self.memory.verdict == "moves" else [])]

    def document(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON. A difference without a size is None."""
        plain: dict[str, Any] = _finite({**asdict(self), "problems": self.problems})
        return plain


@dataclass(frozen=True)
class _Pass:
    facts: ModelFacts
    outputs: Outputs
    seconds: float
    memory: tuple[int, ...]
    peak: int


def validate(settings: ValidateSettings, tell: Tell = lambda _: None) -> Report:
    """Ask the model the same samples in three ways, each twice, and compare. `tell` is told each step.

    Raises a UserError as `make_plan` does, and UnfinishedRunError if the model does not load, takes its process along,
    hangs, or answers no sample at all.
    """
    settings.check()
    for path in settings.plugins:
        load_plugin_file(path)
    plan = _plan(settings)
    items = sorted((item for window in windows(plan, 0, 0) for item in window), key=lambda item: item.position)
    if len(items) < 2:
        raise SettingError(f"task {plan.tasks[0].task.name!r} has one sample; at least two are needed")
    shuffled = _shuffled(items, settings.seed)
    ways = {"alone": (items, 1), "order": (shuffled, 1), "batch": (items, min(settings.batch_size, len(items)))}
    passes: dict[str, list[_Pass]] = {}
    for name, (ordered, size) in ways.items():
        for turn in range(2):
            last = name == "batch" and turn == 1
            tell(f"{'shuffled' if name == 'order' else 'in order'}, batch {size}, {turn + 1} of 2")
            passes.setdefault(name, []).append(_pass(plan, ordered, size, _further(len(items), size) if last else 0))
            if not turn and name == "alone":
                _check_answered(plan, passes["alone"][0].outputs)
    return _report(plan, items, passes, settings)


def _plan(settings: ValidateSettings) -> Plan:
    specs = parse_specs([settings.model])
    if len(specs) != 1:
        raise SettingError(f"one model is validated at a time, not {len(specs)}: {settings.model}")
    task = settings.task or _first_task(specs[0])
    plan = make_plan(
        RunSettings(
            models=(settings.model,), tasks=(task,), limit=settings.samples, seed=settings.seed,
            batch_size=settings.batch_size, sample_timeout=settings.sample_timeout, device=settings.device,
            cpus=settings.cpus, plugins=settings.plugins,
        )
    )  # fmt: skip
    if len(plan.tasks) != 1:
        raise SettingError(f"one task is asked at a time, not {len(plan.tasks)}: {task}")
    return plan


def _first_task(model: Spec) -> str:
    """The first task that needs no settings, whose corpus is ready and that the model can do.

    Those of plug-in files come first, as they were just named, then those of the suite `core`, then all by name.

    Raises UserError if there is none.
    """
    MODELS.check(model)
    abilities = MODELS.abilities(model)
    brought = [entry.name for entry in TASKS.entries() if entry.origin.startswith(PLUGIN_FILES)]
    core = [spec.name for spec in parse_specs(list(SUITES.create(Spec("core")).weights))]
    for name in dict.fromkeys([*brought, *core, *TASKS.names()]):
        try:
            TASKS.check(Spec(name))
            task = TASKS.create(Spec(name))
            if task.ability in abilities and next(iter(task.samples()), None) is not None:
                return name
        except UserError:  # it needs a setting, or a corpus that is not prepared: no task to start with
            continue
    raise UserError(
        f"no task that is ready asks for what model {model.name!r} can do ({', '.join(sorted(abilities))}); "
        "name one with --tasks, or prepare a corpus (see: audiometry ls corpora)"
    )


def _shuffled(items: Sequence[Item], seed: int) -> list[Item]:
    order = hash_order(str(derive_seed(seed, "validate", item.sample.id)) for item in items)
    return [items[i] for i in (order if order != sorted(order) else order[::-1])]


def _pass(plan: Plan, items: Sequence[Item], size: int, further: int) -> _Pass:
    """One pass in a process of its own; then `further` ones in the same process, for the sake of its memory."""
    model = plan.models[0]
    opening = Opening(
        model.spec, model.entry.given, plan.settings.plugins, max(1, round(model.resources.cpus)),
        model.entry.waveforms, model.entry.waits, plan.settings.sample_timeout,
    )  # fmt: skip
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    outputs: dict[int, Output] = {}
    seconds = 0.0
    held: list[int] = []
    peak = 0
    with Subject(model.label, opening) as subject:
        facts = subject.load()
        for batch in batches:
            answered = subject.answer(batch)
            outputs |= answered.outputs
            seconds += answered.seconds
            held.append(answered.memory)
            peak = max(peak, answered.peak)
        held += [subject.answer(batch).memory for _ in range(further) for batch in batches]
    return _Pass(facts, outputs, seconds, tuple(held), peak)


def _check_answered(plan: Plan, outputs: Outputs) -> None:
    failed = [output for output in outputs.values() if output.status in ("error", "timeout")]
    if len(failed) == len(outputs):
        raise UnfinishedRunError(
            f"model {plan.models[0].label!r} answered none of {len(outputs)} samples, the first: {failed[0].error}"
        )


def _report(plan: Plan, items: Sequence[Item], passes: Mapping[str, list[_Pass]], settings: ValidateSettings) -> Report:
    every = [one for pair in passes.values() for one in pair]
    facts = every[0].facts
    names = {item.position: item.sample.id for item in items}
    pairs = {name: (first.outputs, second.outputs) for name, (first, second) in passes.items()}
    size = min(settings.batch_size, len(items))
    return Report(
        model=plan.models[0].label,
        task=plan.tasks[0].task.name,
        samples=len(items),
        batch_size=size,
        tolerance=settings.tolerance,
        fingerprint=facts.fingerprint,
        deterministic=facts.deterministic,
        statuses=dict(Counter(output.status for output in every[0].outputs.values())),
        checks=(
            repeated(pairs.values(), names, settings.tolerance),
            changed("order", pairs["alone"], pairs["order"], names, settings.tolerance),
            changed("batch", pairs["alone"], pairs["batch"], names, settings.tolerance),
        ),
        memory=_memory(passes, len(items), size),
        speeds=(
            _speed(1, [*passes["alone"], *passes["order"]], items),
            _speed(size, passes["batch"], items),
        ),
        load_seconds=tuple(round(one.facts.seconds, 3) for one in every),
    )


def _further(samples: int, size: int) -> int:
    return max(FURTHER_PASSES, math.ceil(FURTHER_BATCHES / math.ceil(samples / size)))


def _memory(passes: Mapping[str, list[_Pass]], samples: int, size: int) -> Memory:
    """From the last process, which went on; its first pass is left out, since buffers grow to the longest sample."""
    held = passes["batch"][1].memory
    batches = math.ceil(samples / size)
    sizes = [min(size, samples - start) for start in range(0, samples, size)] * _further(samples, size)
    peak = max(one.peak for pair in passes.values() for one in pair)
    return memory_growth(held[batches - 1 :], sizes, peak)


def _speed(size: int, passes: Sequence[_Pass], items: Sequence[Item]) -> Speed:
    seconds = max(float(np.median([one.seconds for one in passes])), 1e-9)
    heard = sum(heard_seconds(item.sample) for item in items)
    return Speed(size, len(items) / seconds, heard / seconds if heard else None)


def _finite(value: Any) -> Any:
    """`value` with every infinite number replaced by None, since JSON has none."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
