"""What an answer costs: start, time, memory and energy against the length of the sound.

The engine keeps one worker warm for many clips, and its memory is the highest of all of them. So each length is
measured here in a process of its own: it is started, loads the model, answers one recording twice, and ends. The first
answer is the cold one; time and energy are those of the second, memory the peak over both.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audiometry.benchmark.audio import encode_wav, read
from audiometry.benchmark.energy import EnergyMeter
from audiometry.benchmark.errors import SettingError, UnfinishedRunError, UserError
from audiometry.benchmark.memory import peak_bytes
from audiometry.benchmark.plan import Item
from audiometry.benchmark.registry import MODELS, Spec
from audiometry.benchmark.types import Audio, Request, Sample, Waveform
from audiometry.tasks.corpora.long_form import stitch
from audiometry.tasks.corpora.utterance import Utterance, load_corpus
from audiometry.tasks.metrics.memory import PowerLaw, fit_power_law

__all__ = ["SECONDS", "Cost", "Summary", "document", "measure", "summarise", "write_sound"]

SECONDS = (1.0, 10.0, 60.0, 600.0, 3600.0)
HOUR = 3600.0
LIMIT_SECONDS = 3600.0
"""A recording may take so long to answer."""

PART = 300
"""Seconds that are stitched at a time; every clip must fit."""


@dataclass(frozen=True, slots=True)
class Cost:
    """One process: a model loaded, and a recording of `audio_seconds` answered twice.

    Seconds of wall clock: `start` from nothing to a loaded model, `load` the model's own share of it, `first` and
    `second` the two answers. `idle_memory` is what the process holds with the model loaded, `peak_memory` the most
    that it held until the end, by `memory_method`, in bytes, with the processes under it. `cpu_seconds`, `joules` and
    `grams_co2e` are of the second answer, by `energy_method`.
    """

    model: str
    audio_seconds: float
    start: float
    load: float
    first: float
    second: float
    idle_memory: int
    peak_memory: int
    memory_method: str
    cpu_seconds: float
    joules: float
    grams_co2e: float
    energy_method: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What the costs of one model come to. Energy and RTFx are ratios of sums over the second answers.

    `memory` is the power law of the peak against length, `grown` that of the peak beyond the idle model's memory, and
    `seconds` that of the second answer's time; None where fewer than two lengths were measured (or nothing grew).
    """

    model: str
    cold_start: float
    first_to_second: float
    rtfx: float
    joules_per_hour: float
    grams_per_hour: float
    memory: PowerLaw | None
    grown: PowerLaw | None
    seconds: PowerLaw | None


def measure(
    model: Spec,
    seconds: Iterable[float] = SECONDS,
    *,
    repeats: int = 1,
    corpus: str = "asterisk-en",
    limit: float = LIMIT_SECONDS,
    plugins: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> list[Cost]:
    """Measure a model that transcribes on speech of each length, `repeats` times, each in a fresh process.

    The sound is stitched from the corpus' clips with pauses; a length of the same number is the same sound. Run it with
    nothing else on the machine. `plugins` are files that bring models.

    Raises SettingError for a length or number out of range or a model that cannot be measured here, UnfinishedRunError
    for a model that fails on a length.
    """
    lengths = sorted(set(seconds))
    if not lengths or lengths[0] <= 0 or lengths[-1] > 4 * HOUR or repeats < 1:
        raise SettingError("efficiency: give lengths above 0 and up to 14400 seconds, and at least 1 repeat")
    entry = MODELS.check(model)
    if "transcribe" not in MODELS.abilities(model):
        raise SettingError(f"efficiency: model {str(model)!r} does not transcribe, which is what is measured")
    if entry.waits or entry.given is not None:
        raise SettingError(f"efficiency: model {str(model)!r} does not compute in a process of ours; name another")
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        utterances = load_corpus(corpus)
        for length in lengths:
            item = _item(write_sound(Path(folder) / f"{length:g}.wav", utterances, length), length)
            for _ in range(repeats):
                costs.append(_cost(model, item, length, limit, plugins))
                report(f"{model}: {length:g} s of sound in {costs[-1].second:.2f} s")
    return costs


def summarise(costs: Sequence[Cost]) -> Summary:
    """Put the costs of one model together.

    Raises UserError for no costs, or those of several models.
    """
    if len({cost.model for cost in costs}) != 1:
        raise UserError("efficiency: give the costs of one model, at least one")
    sounds, answers = (sum(getattr(one, name) for one in costs) for name in ("audio_seconds", "second"))
    return Summary(
        model=costs[0].model,
        cold_start=float(np.median([cost.start + cost.first for cost in costs if _shortest(cost, costs)])),
        first_to_second=float(np.median([cost.first / cost.second for cost in costs if _shortest(cost, costs)])),
        rtfx=sounds / answers,
        joules_per_hour=sum(cost.joules for cost in costs) / sounds * HOUR,
        grams_per_hour=sum(cost.grams_co2e for cost in costs) / sounds * HOUR,
        memory=_law((cost.audio_seconds, cost.peak_memory) for cost in costs),
        grown=_law((cost.audio_seconds, cost.peak_memory - cost.idle_memory) for cost in costs),
        seconds=_law((cost.audio_seconds, cost.second) for cost in costs),
    )


def document(costs: Sequence[Cost]) -> Mapping[str, Any]:
    """Everything as plain values, for JSON: what is not a number (an interval of two lengths) is None."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        return None if isinstance(value, float) and not math.isfinite(value) else value

    models = dict.fromkeys(cost.model for cost in costs)
    summaries = [summarise([cost for cost in costs if cost.model == model]) for model in models]
    return {"costs": [asdict(cost) for cost in costs], "models": [plain(asdict(one)) for one in summaries]}


def write_sound(file: Path, utterances: Sequence[Utterance], seconds: float) -> Path:
    """Write `seconds` of speech to a WAV file: clips with pauses, or the start of the longest clip if that will do."""
    parts = max(1, math.ceil(seconds / PART))
    longest = max(utterances, key=lambda one: one.audio.seconds or 0.0).audio
    if seconds <= (longest.seconds or 0.0):
        whole = read(longest)
    else:
        made = [part for part, _ in stitch(utterances, parts=parts, seconds=PART)]
        whole = Waveform(np.concatenate([part.samples for part in made]), made[0].rate)
    file.write_bytes(encode_wav(Waveform(whole.samples[: round(seconds * whole.rate)], whole.rate)))
    return file


def _item(file: Path, seconds: float) -> Item:
    request = Request("transcribe", {"input": Audio(str(file), seconds=seconds)}, language="en")
    return Item(0, Sample(file.stem, request, None))


def _cost(model: Spec, item: Item, length: float, limit: float, plugins: Sequence[str]) -> Cost:
    import psutil

    from audiometry.benchmark.validate_child import Opening
    from audiometry.benchmark.validate_subject import Subject

    entry = MODELS.get(model.name)
    threads = max(1, round(entry.resources.cpus))
    opening = Opening(
        model, entry.given, plugins=tuple(plugins), threads=threads, decodes=entry.waveforms, waits=entry.waits,
        sample_timeout=limit,
    )  # fmt: skip
    others = {child.pid for child in psutil.Process().children()}
    began = time.perf_counter()
    with Subject(str(model), opening) as subject:
        facts = subject.load()
        start = time.perf_counter() - began
        (process,) = (child for child in psutil.Process().children() if child.pid not in others)
        idle = sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])
        answers = [subject.answer([item])]
        meter = EnergyMeter()
        meter.start()
        answers.append(subject.answer([item]))
        energy = meter.document()
        peak = peak_bytes(process.pid)
    for answer in answers:
        output = answer.outputs[0]
        if output.status in ("error", "timeout"):
            raise UnfinishedRunError(f"model {str(model)!r} failed on {length:g} s of sound: {output.error}")
    return Cost(
        model=str(model),
        audio_seconds=length,
        start=start,
        load=facts.seconds,
        first=answers[0].seconds,
        second=answers[1].seconds,
        idle_memory=idle,
        peak_memory=peak or max(answer.peak for answer in answers),
        memory_method="peak resident (VmHWM)" if peak else "resident after the answers",
        cpu_seconds=energy["cpu_seconds"],
        joules=energy["joules"],
        grams_co2e=energy["grams_co2e"],
        energy_method=energy["method"],
    )


def _shortest(cost: Cost, costs: Sequence[Cost]) -> bool:
    return cost.audio_seconds == min(one.audio_seconds for one in costs)


def _law(points: Iterable[tuple[float, float]]) -> PowerLaw | None:
    """The power law through the points above 0, one for each length at least, or None where there are too few."""
    kept = [(x, y) for x, y in points if y > 0]
    if len({x for x, _ in kept}) < 2:
        return None
    return fit_power_law(*zip(*kept, strict=True))
