"""``audiometry efficiency``: what models cost against the length of the sound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from audiometry.tasks.efficiency import Summary
    from audiometry.tasks.metrics.memory import PowerLaw

__all__ = ["efficiency", "register"]

HELP = """Measure start, speed, memory and energy of models against the length of the sound.

Each length is measured in a fresh process, with nothing else on the machine: stop other work first. The exponent says
how steeply memory grows with length: 0 not at all, 1 in proportion.

\b
Examples:
  audiometry efficiency -m whisper
  audiometry efficiency -m whisper -m whisper:compute_type=float32 --seconds 1,10,60 --repeats 3
  audiometry efficiency -m pocketsphinx --seconds 1,10 --json
"""

LENGTHS = "1,10,60,600,3600"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("efficiency", help=HELP)(efficiency)


def efficiency(
    models: Annotated[list[str], typer.Option("--model", "-m", help="A model that transcribes; repeat for several.")],
    seconds: Annotated[str, typer.Option(help="Lengths of the sound, with commas.")] = LENGTHS,
    plugin: Annotated[list[str] | None, typer.Option(help="A file that brings models; repeat for several.")] = None,
    repeats: Annotated[int, typer.Option(help="Fresh processes for each length.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure and print."""
    from audiometry.benchmark.errors import SettingError
    from audiometry.benchmark.registry import load_plugin_file, parse_spec
    from audiometry.tasks.efficiency import document, measure, summarise

    try:
        lengths = [float(part) for part in seconds.split(",")]
    except ValueError:
        raise SettingError(f"--seconds {seconds!r}: give numbers with commas between, as in {LENGTHS}") from None

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    plugins = plugin or []
    for path in plugins:
        load_plugin_file(path)
    found = [measure(parse_spec(one), lengths, repeats=repeats, plugins=plugins, report=tell) for one in models]
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


def _told(summary: Summary) -> str:
    return (
        f"  cold start {summary.cold_start:.2f} s; the first answer takes {summary.first_to_second:.2f} x the second; "
        f"RTFx {summary.rtfx:.1f}; {summary.joules_per_hour:.0f} J and {summary.grams_per_hour:.3g} g CO2e an hour of "
        f"sound\n  exponents: peak memory {_law(summary.memory)}, memory beyond the idle model {_law(summary.grown)}, "
        f"time {_law(summary.seconds)}"
    )


def _law(law: PowerLaw | None) -> str:
    return "–" if law is None else f"{law.exponent:.2f} [{law.low:.2f}, {law.high:.2f}]"
