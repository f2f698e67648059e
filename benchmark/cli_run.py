"""``audiometry run``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiometry.benchmark import paths
from audiometry.benchmark.errors import SettingError, UnfinishedRunError

if TYPE_CHECKING:
    from audiometry.benchmark.evaluate import Evaluation

__all__ = ["end", "found_run", "register"]

HELP = """Run models on tasks and print a table with intervals.

\b
Examples:
  audiometry run -m whisper,pocketsphinx -t wer-asterisk-en
  audiometry run -m whisper:beam=5 -m whisper -t wer-asterisk-en --limit 100 --seed 1
  audiometry run -m outputs:path=mine.jsonl -t wer:path=test.csv --json
  audiometry run --config run.toml
  audiometry run --resume runs/20260101-120000-abcdef
"""

Texts = list[str] | None


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("run", help=HELP)(run)


def run(
    model: Annotated[
        Texts, typer.Option("--model", "-m", help="NAME[:k=v,k=v]; repeat, or list names with commas.")
    ] = None,
    tasks: Annotated[Texts, typer.Option("--tasks", "-t", help="Tasks or suites, written the same way.")] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-L", help="Only the first N samples of a fixed order.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. [default: 0]")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Workers a model. [default: as many as there are cores for]")
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option("--batch-size", "-b", metavar="N|auto", help="Samples a request, or auto. [default: 8]"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …, for every model that takes a device.")] = None,
    cpus: Annotated[float | None, typer.Option(help="CPUs and threads a worker. [default: the model's own]")] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs a worker. [default: the model's own]")] = None,
    memory: Annotated[float | None, typer.Option(help="GiB of memory to reserve a worker.")] = None,
    sample_timeout: Annotated[
        float | None, typer.Option(help="Seconds after which a sample is given up. [default: 600]")
    ] = None,
    max_failures: Annotated[
        float | None, typer.Option(help="Share of failed samples above which a run is no result. [default: 0.05]")
    ] = None,
    resamples: Annotated[int | None, typer.Option(help="Bootstrap resamples. [default: 2000]")] = None,
    keep_audio: Annotated[
        bool | None, typer.Option("--keep-audio/--no-keep-audio", help="Keep sound that models make. [default: keep]")
    ] = None,
    cache: Annotated[
        bool | None,
        typer.Option("--cache/--no-cache", help="Serve answers of earlier runs, keep new ones. [default: cache]"),
    ] = None,
    resume_run: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was stopped: its folder.")
    ] = None,
    output_path: Annotated[Path | None, typer.Option("--output-path", "-o", help="The run's folder.")] = None,
    store: Annotated[str | None, typer.Option(help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-C", help="TOML file with the same keys.")] = None,
    plugin: Annotated[Texts, typer.Option(help="A Python file with tasks or models of your own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="Serve Prometheus metrics on this port of 127.0.0.1. [default: do not]")
    ] = None,
) -> int:
    """Run models on tasks."""
    from audiometry.benchmark.config import merge, read_config
    from audiometry.benchmark.evaluate import evaluate, resume

    file: dict[str, Any] = read_config(config) if config is not None else {}
    flags: dict[str, Any] = {
        "models": tuple(model) if model else None,
        "tasks": tuple(tasks) if tasks else None,
        "plugins": tuple(plugin) if plugin else None,
        "limit": limit, "seed": seed, "workers": workers, "batch_size": _batch_size(batch_size),
        "device": device, "cpus": cpus, "gpus": gpus, "memory": memory,
        "sample_timeout": sample_timeout, "max_failures": max_failures,
        "resamples": resamples, "keep_audio": keep_audio, "cache": cache,
    }  # fmt: skip
    output = output_path or (Path(file["output_path"]) if "output_path" in file else None)
    if resume_run is not None:
        return end(resume(found_run(resume_run), store=store, quiet=quiet, metrics_port=metrics_port), as_json)
    done = evaluate(merge(file, flags), output=output, store=store or file.get("store"), quiet=quiet,
        metrics_port=metrics_port,
    )  # fmt: skip
    return end(done, as_json)


def _batch_size(text: str | None) -> int | str | None:
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise SettingError(f"--batch-size {text!r} is not a whole number; give one, or auto") from None


def found_run(run: Path) -> Path:
    """A run folder, or the name of one in the default place."""
    named = paths.runs_folder() / run
    return named if not run.exists() and named.is_dir() else run


def end(done: Evaluation, as_json: bool) -> int:
    """Print what an evaluation gave.

    Raises UnfinishedRunError if it is no result.
    """
    _print(done, as_json)
    if done.problems:
        raise UnfinishedRunError("; ".join(done.problems) + f" (evidence in {done.folder})")
    return 0


def _print(done: Evaluation, as_json: bool) -> None:
    from audiometry.benchmark.report import print_results
    from audiometry.benchmark.runfolder import results_document

    if as_json:
        print(json.dumps(results_document(done.results), indent=1, ensure_ascii=False))
        return
    print_results(done.results, done.folder)
    print(f"run folder: {done.folder}", file=sys.stderr)
