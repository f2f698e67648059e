"""The training loop of the small neural detectors.

AdamW (Loshchilov and Hutter 2019) under a one-cycle rate (Smith and Topin 2018, "Super-Convergence"), batches with as
many bona fide trials as spoofs and every attack alike often, an exponential moving average of the weights, and of these
averages the one with the lowest macro equal error rate on development attacks.

What a step does follows from the seed, the step's number and the state before it, and from nothing else. A training
that was interrupted therefore goes on to the same weights as one that was not.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from audiometry.benchmark.errors import DataError, SettingError, UserError
from audiometry.benchmark.types import FloatArray, IntArray
from audiometry.models.baselines.losses import Loss
from audiometry.models.baselines.sampling import balanced_sampler
from audiometry.tasks.metrics.detection_groups import equal_error_rate_by_attack

__all__ = [
    "Problem",
    "Scored",
    "Trained",
    "TrainingSettings",
    "one_cycle_rate",
    "scores_of",
    "train",
]

WARM_UP = 0.3
"""Share of the steps in which the rate rises."""

FIRST_RATE, LAST_RATE = 1 / 25, 1e-4
"""The rate at the first and at the last step, as shares of the highest one."""

TIMED_STEPS = 20
"""Steps after which it is told whether the time will do."""


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast. `minutes` is a limit and not a plan: the rate comes down over `steps`.

    `rate` is the highest learning rate, `average` the decay of the moving average a step, `threads` 0 every core.
    `watched` is how many development trials the choice of weights looks at, at most.
    `device` is ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
    """

    steps: int = 2500
    batch: int = 64
    rate: float = 3e-3
    weight_decay: float = 1e-2
    average: float = 0.995
    evaluate_every: int = 100
    watched: int = 1200
    minutes: float = 25.0
    checkpoint_seconds: float = 60.0
    threads: int = 0
    device: str = "auto"

    @property
    def cores(self) -> int:
        """The threads to compute with."""
        return self.threads or len(os.sched_getaffinity(0))

    def __post_init__(self) -> None:
        """Raise SettingError for a number out of its range."""
        whole = ("steps", "batch", "evaluate_every", "watched")
        low = [name for name in whole if getattr(self, name) < 1]
        low += [name for name in ("rate", "minutes") if not getattr(self, name) > 0]
        if low:
            raise SettingError(f"training, setting {low[0]!r}: {getattr(self, low[0])} must be more than 0")
        if self.batch < 2 or not 0 <= self.average < 1:
            raise SettingError("training: a batch has at least 2 trials, and 'average' is from 0 up to 1, as in 0.995")


@dataclass(frozen=True)
class Problem:
    """What is learnt: training trials by number, and development trials as batches in order.

    `inputs` makes the network's inputs of trials, changed at random by the generator. `bona_fide` and `attacks` are
    those of the training trials; an attack is empty for bona fide.
    """

    inputs: Callable[[IntArray, np.random.Generator], NDArray[np.float32]]
    bona_fide: NDArray[np.bool_]
    attacks: Sequence[str]
    development: Sequence[NDArray[np.float32]]
    development_bona_fide: NDArray[np.bool_]
    development_attacks: Sequence[str]


@dataclass(frozen=True)
class Trained:
    """The chosen weights by name, and what is to be told of the training."""

    weights: Mapping[str, NDArray[Any]]
    facts: Mapping[str, str]


class Scored(nn.Module):
    """A network that offers ``scores`` beside its logits, as one that gives scores."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, …) → (batch,)."""
        scores: Tensor = self.network.scores(inputs)
        return scores


@dataclass
class _Run:
    """A training as it stands: all that a checkpoint holds."""

    network: nn.Module
    averaged: nn.Module
    optimiser: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0
    best_error: float = math.inf
    best_step: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)


def train(
    network: nn.Module,
    loss: Loss,
    problem: Problem,
    *,
    seed: int,
    settings: TrainingSettings,
    report: Callable[[str], None],
    checkpoint: Path | None = None,
    resume: bool = False,
) -> Trained:
    """Train `network`, which gives one score a trial, higher for bona fide; return the best averaged weights.

    `checkpoint` is written every `checkpoint_seconds` and where the time limit stops the training; with `resume` it is
    gone on from, where it is there, and its time counts. It is removed at the end.

    Raises DataError for trials of one class only, SettingError for a checkpoint of another training or a device that is
    not here, UserError where the loss is no longer a finite number.
    """
    device = _device(settings.device)
    torch.set_num_threads(settings.cores)
    sampler = balanced_sampler(problem.bona_fide, problem.attacks)
    with torch.random.fork_rng():
        run = _start(network.to(device), settings)
        key = _key(run, problem, seed, settings)
        if resume and checkpoint is not None and checkpoint.is_file():
            _restore(run, checkpoint, key)
            report(f"going on after step {run.step} of {settings.steps}")
        elif resume:
            report(f"there is no checkpoint{f' {checkpoint}' if checkpoint else ''}; beginning anew")
        finished = _steps(run, loss, problem, sampler, seed, settings, report, checkpoint, key)
        if checkpoint is not None:
            if finished:
                checkpoint.unlink(missing_ok=True)
            else:
                _save(run, checkpoint, key)
        if run.best_step != run.step and not finished:
            _evaluate(run, problem)  # after the checkpoint: an undisturbed training does not look here
    facts = {
        "steps": f"{run.step} of {settings.steps}",
        "chosen_step": str(run.best_step),
        "development_macro_eer": f"{run.best_error:.6f}",
        "parameters": str(sum(p.numel() for p in network.parameters() if p.requires_grad)),
        "training": json.dumps(_decisive(settings), sort_keys=True),
    }
    return Trained({name: value.cpu().numpy() for name, value in run.best.items()}, facts)


def _steps(
    run: _Run,
    loss: Loss,
    problem: Problem,
    sampler: Callable[[int, np.random.Generator], IntArray],
    seed: int,
    settings: TrainingSettings,
    report: Callable[[str], None],
    checkpoint: Path | None,
    key: str,
) -> bool:
    """Do steps to the end (True) or to the time limit (False)."""
    before, first = run.seconds, run.step
    started = saved = time.monotonic()
    while run.step < settings.steps:
        if run.seconds >= settings.minutes * 60:
            report(f"stopped by the time limit after step {run.step} of {settings.steps}; go on with --resume")
            return False
        value = _step(run, loss, problem, sampler, seed, settings)
        now = time.monotonic()
        run.seconds = before + now - started
        pace = (now - started) / (run.step - first)
        if run.step - first == TIMED_STEPS and run.seconds + pace * (settings.steps - run.step) > settings.minutes * 60:
            able = run.step + int((settings.minutes * 60 - run.seconds) / pace)
            report(
                f"{settings.minutes:g} minutes will do for about {able} of {settings.steps} steps; give steps={able}"
            )
        if run.step % settings.evaluate_every == 0 or run.step == settings.steps:
            error = _evaluate(run, problem)
            left = pace * (settings.steps - run.step) / 60
            report(
                f"step {run.step} of {settings.steps}: loss {value:.4f}, development macro EER {error:.2%} "
                f"(best {run.best_error:.2%} at {run.best_step}), about {left:.1f} min left"
            )
        if checkpoint is not None and now - saved >= settings.checkpoint_seconds:
            _save(run, checkpoint, key)
            saved = now
    return True


def _step(
    run: _Run,
    loss: Loss,
    problem: Problem,
    sampler: Callable[[int, np.random.Generator], IntArray],
    seed: int,
    settings: TrainingSettings,
) -> float:
    device = next(run.network.parameters()).device
    generator = np.random.default_rng([seed, run.step])
    torch.manual_seed(int(generator.integers(2**62)))  # for dropout
    chosen = sampler(settings.batch, generator)
    inputs = torch.from_numpy(problem.inputs(chosen, generator)).to(device)
    labels = torch.from_numpy(problem.bona_fide[chosen].astype(np.float32)).to(device)
    for group in run.optimiser.param_groups:
        group["lr"] = one_cycle_rate(run.step, settings.steps, settings.rate)
    run.network.train()
    run.optimiser.zero_grad(set_to_none=True)
    value = loss(run.network(inputs), labels)
    if not torch.isfinite(value):
        raise UserError(
            f"the loss at step {run.step + 1} is {value.item()}; train with a lower rate than {settings.rate}"
        )
    value.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
    run.optimiser.step()
    run.step += 1
    _average(run, min(settings.average, run.step / (run.step + 9)))
    return float(value.item())


def _average(run: _Run, decay: float) -> None:
    """Move the averaged weights, statistics of batches among them, towards the network's."""
    with torch.no_grad():
        for mean, now in zip(run.averaged.state_dict().values(), run.network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)


def _evaluate(run: _Run, problem: Problem) -> float:
    """Macro equal error rate of the averaged weights on the development trials; the best ones are kept."""
    scores = scores_of(run.averaged, problem.development)
    real = problem.development_bona_fide
    attacks = [name for name, bona_fide in zip(problem.development_attacks, real, strict=True) if not bona_fide]
    error = float(equal_error_rate_by_attack(scores[real], scores[~real], attacks).macro)
    if error <= run.best_error:
        run.best_error, run.best_step = error, run.step
        run.best = {name: value.detach().clone() for name, value in run.averaged.state_dict().items()}
    return error


def scores_of(network: nn.Module, batches: Sequence[NDArray[np.float32]]) -> FloatArray:
    """The scores that `network` gives to the trials in `batches`, in order, as when it answers; shape (trials,)."""
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        scores = [network(torch.from_numpy(batch).to(device)).cpu().numpy() for batch in batches]
    return np.concatenate(scores).astype(np.float64)


def one_cycle_rate(step: int, steps: int, highest: float) -> float:
    """The learning rate at a step (from 0): up along a cosine for 30 % of the steps, then down along another.

    >>> [round(one_cycle_rate(step, 11, 1.0), 3) for step in (0, 3, 10)]
    [0.04, 1.0, 0.0]
    """
    turn = max(WARM_UP * (steps - 1), 1e-9)
    if step < turn:
        start, end, share = FIRST_RATE, 1.0, step / turn
    else:
        start, end, share = 1.0, LAST_RATE, (step - turn) / max(steps - 1 - turn, 1e-9)
    return highest * (end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2)


def _device(name: str) -> torch.device:
    if name not in ("auto", "cpu", "cuda"):
        raise SettingError(f"training, setting 'device': {name!r} is not one of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("training, setting 'device': this machine has no CUDA device; leave it out")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _start(network: nn.Module, settings: TrainingSettings) -> _Run:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=settings.weight_decay)
    return _Run(network, copy.deepcopy(network), optimiser)


def _decisive(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that decide which weights come out."""
    idle = {"minutes", "checkpoint_seconds", "threads", "device"}
    return {name: value for name, value in asdict(settings).items() if name not in idle}


def _key(run: _Run, problem: Problem, seed: int, settings: TrainingSettings) -> str:
    """What a checkpoint must agree in: the start, the trials, the seed and the settings."""
    digest = hashlib.sha256(json.dumps([seed, _decisive(settings), list(problem.attacks)], sort_keys=True).encode())
    for name, value in run.network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def _save(run: _Run, path: Path, key: str) -> None:
    from safetensors.torch import save_file

    tensors = {f"network/{name}": value for name, value in run.network.state_dict().items()}
    tensors |= {f"averaged/{name}": value for name, value in run.averaged.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in run.best.items()}
    for number, moments in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{number}/{name}": value for name, value in moments.items()}
    facts = {"step": str(run.step), "seconds": repr(run.seconds), "key": key}
    facts |= {"best_error": repr(run.best_error), "best_step": str(run.best_step)}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    save_file(
        {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()},
        unfinished,
        metadata=facts,
    )
    unfinished.replace(path)


def _restore(run: _Run, path: Path, key: str) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no mapping)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read as a checkpoint: {error}; remove it and begin anew") from error
    if facts.get("key") != key:
        raise SettingError(f"{path} is the checkpoint of another training; remove it, or repeat that one's settings")
    parts: dict[str, dict[str, Tensor]] = {"network": {}, "averaged": {}, "best": {}}
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, rest = name.split("/", 1)
        if part == "optimiser":
            number, moment = rest.split("/")
            moments.setdefault(int(number), {})[moment] = value
        else:
            parts[part][rest] = value
    run.network.load_state_dict(parts["network"])
    run.averaged.load_state_dict(parts["averaged"])
    run.best = parts["best"]
    run.optimiser.load_state_dict({"state": moments, "param_groups": run.optimiser.state_dict()["param_groups"]})
    run.step, run.seconds = int(facts["step"]), float(facts["seconds"])
    run.best_error, run.best_step = float(facts["best_error"]), int(facts["best_step"])
