"""``audiometry efficiency``: what models cost against the length of the sound."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from audiometry.benchmark.registry import Spec
    from audiometry.tasks.efficiency import Summary
    from audiometry.tasks.metrics.memory import PowerLaw

__all__ = ["efficiency", "register"]

HELP = """Measure start, speed, memory and energy of models against the length of the sound.

Each length is measured in a fresh process, with nothing else on the machine: stop other work first. The exponent says
how steeply memory grows with length: 0 not at all, 1 in proportion.

With --task, the models answer a task side by side instead: accuracy with the paired difference to the first model,
speed and memory. That shows what a smaller or quantised model costs.

\b
Examples:
  audiometry efficiency -m whisper
  audiometry efficiency -m whisper -m whisper:compute_type=float32 --seconds 1,10,60 --repeats 3
  audiometry efficiency -m pocketsphinx --seconds 1,10 --json
  audiometry efficiency -m whisper:compute_type=float32 -m whisper --task wer-asterisk-en --limit 200
"""

LENGTHS = "1,10,60,600,3600"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("efficiency", help=HELP)(efficiency)


def efficiency(
    models: Annotated[list[str], typer.Option("--model", "-m", help="A model; repeat for several.")],
    seconds: Annotated[str, typer.Option(help="Lengths of the sound, with commas.")] = LENGTHS,
    plugin: Annotated[list[str] | None, typer.Option(help="A file that brings models; repeat for several.")] = None,
    repeats: Annotated[int, typer.Option(help="Fresh processes for each length.")] = 1,
    task: Annotated[str | None, typer.Option(help="A task to answer side by side, instead of lengths.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-L", help="Only the task's first N samples.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure and print."""
    from audiometry.benchmark.errors import SettingError
    from audiometry.benchmark.registry import load_plugin_file, parse_specs

    if limit is not None and task is None:
        raise SettingError("--limit counts a task's samples; give --task too, or leave it out")
    plugins = plugin or []
    for path in plugins:
        load_plugin_file(path)
    specs = parse_specs(models)
    if task is not None:
        _side_by_side(specs, task, limit, plugins, as_json)
    else:
        _by_length(specs, seconds, repeats, plugins, as_json)


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _side_by_side(models: list[Spec], task: str, limit: int | None, plugins: list[str], as_json: bool) -> None:
    from audiometry.tasks.efficiency_answers import side_by_side

    lines = side_by_side(models, task, limit=limit, plugins=plugins, report=_tell)
    if as_json:
        typer.echo(json.dumps({"lines": [asdict(line) for line in lines]}, indent=2))
        return
    typer.echo(f"{lines[0].task}: {lines[0].metric} with 95 % intervals; differences to the first model, paired")
    width = max(len(line.model) for line in lines)
    typer.echo(
        f"{'model':<{width}}{'value':>24}{'difference':>26}{'p':>7}{'RTFx':>8}{'CPU s/h':>9}{'idle':>6}{'peak MiB':>9}"
    )
    for line in lines:
        typer.echo(
            f"{line.model:<{width}}{_span(line.value, line.low, line.high):>24}"
            f"{_span(line.difference, line.difference_low, line.difference_high):>26}{_number(line.p, '.3f'):>7}"
            f"{_number(line.rtfx, '.1f'):>8}{_number(line.cpu_per_hour, '.0f'):>9}{line.idle_memory / 2**20:>6.0f}"
            f"{_number(line.peak_memory and line.peak_memory / 2**20, '.0f'):>9}"
        )
    for line in lines:
        told = [f"{line.failed} of {line.n} failed"] if line.failed else []
        told += [f"{name} {fact}" for name, fact in sorted(line.facts.items())]
        if told:
            typer.echo(f"  {line.model}: {'; '.join(told)}")


def _by_length(models: list[Spec], seconds: str, repeats: int, plugins: list[str], as_json: bool) -> None:
    from audiometry.benchmark.errors import SettingError
    from audiometry.tasks.efficiency import document, measure, summarise

    try:
        lengths = [float(part) for part in seconds.split(",")]
    except ValueError:
        raise SettingError(f"--seconds {seconds!r}: give numbers with commas between, as in {LENGTHS}") from None
    found = [measure(one, lengths, repeats=repeats, plugins=plugins, report=_tell) for one in models]
    if as_json:
        typer.echo(json.dumps(document([cost for costs in found for cost in costs]), indent=2))
        return
    for costs in found:
        typer.echo(f"{costs[0].model} (memory: {costs[0].memory_method}; energy: {costs[0].energy_method})")
        typer.echo("   seconds   start s   first s  second s   peak MiB      RTFx         J")
        for cost in costs:
            typer.echo(
                f"{cost.audio_seconds:>10g}{cost.start:>10.2f}{cost.first:>10.2f}{cost.second:>10.2f}"
                f"{cost.peak_memory / 2**20:>11.0f}{cost.audio_seconds / cost.second:>10.1f}{cost.joules:>10.1f}"
            )
        typer.echo(_told(summarise(costs)))


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _span(value: float | None, low: float | None, high: float | None) -> str:
    return _number(value, ".4f") + ("" if low is None or high is None else f" [{low:.4f}, {high:.4f}]")


def _told(summary: Summary) -> str:
    return (
        f"  cold start {summary.cold_start:.2f} s; the first answer takes {summary.first_to_second:.2f} x the second; "
        f"RTFx {summary.rtfx:.1f}; {summary.joules_per_hour:.0f} J and {summary.grams_per_hour:.3g} g CO2e an hour of "
        f"sound\n  exponents: peak memory {_law(summary.memory)}, memory beyond the idle model {_law(summary.grown)}, "
        f"time {_law(summary.seconds)}"
    )


def _law(law: PowerLaw | None) -> str:
    return "–" if law is None else f"{law.exponent:.2f} [{law.low:.2f}, {law.high:.2f}]"
