"""``audiometry gate`` and ``audiometry baseline``."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiometry.benchmark.errors import AudiometryError

if TYPE_CHECKING:
    from audiometry.benchmark.gate import Gate

__all__ = ["register"]

log = logging.getLogger("audiometry.gate")

HELP = """Judge whether a candidate is worse than its baseline: every check on the same samples, Holm over all of them.

A run is a run folder, or the name of one under AUDIOMETRY_HOME; RUN::MODEL picks one of several models. A baseline
may also be a name that was stored with `audiometry baseline set`. Without --config every task's headline metric is
checked, overall and per slice.

Exit codes: 0 pass; 1 a regression; 2 undecided or incomplete, or the gate could not judge.

\b
Examples:
  audiometry gate --baseline main --candidate runs/after
  audiometry gate --baseline runs/before --candidate runs/after --config gate.toml --junit gate.xml
  audiometry gate --baseline runs/x::whisper --candidate runs/x::whisper:beam=5 --json
"""

BASELINE_HELP = """Names for what a gate compares with."""

SET_HELP = """Let NAME stand for a model in a run from now on.

\b
Examples:
  audiometry baseline set main runs/before
  audiometry baseline set main runs/x::whisper
"""

LIST_HELP = """List the stored baselines.

\b
Examples:
  audiometry baseline list
  audiometry baseline list --json
"""

REMOVE_HELP = """Forget a name; the run stays.

\b
Examples:
  audiometry baseline remove main
"""

StoreOption = Annotated[str | None, typer.Option("--store", help="Database URL (default: AUDIOMETRY_STORE).")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("gate", help=HELP)(run_gate)
    baseline = typer.Typer(help=BASELINE_HELP, rich_markup_mode=None, no_args_is_help=False)
    baseline.command("set", help=SET_HELP)(set_named)
    baseline.command("list", help=LIST_HELP)(list_named)
    baseline.command("remove", help=REMOVE_HELP)(remove_named)
    app.add_typer(baseline, name="baseline")


def run_gate(
    baseline: Annotated[str, typer.Option(metavar="REF", help="A stored name, RUN or RUN::MODEL.")],
    candidate: Annotated[str, typer.Option(metavar="RUN", help="RUN or RUN::MODEL: what is judged.")],
    config: Annotated[Path | None, typer.Option("--config", "-C", help="What is checked: gate.toml.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a Markdown summary here.")] = None,
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.")] = False,
) -> None:
    """Judge a candidate. Whatever goes wrong here must not end with the exit code of a regression."""
    try:
        found = _judged(baseline, candidate, config, store)
        _tell(found, junit, markdown, as_json=as_json)
    except AudiometryError:
        raise
    except (Exception, SystemExit) as error:  # a task's reduction, a stranger's code, may raise anything
        log.info("the gate could not judge", exc_info=True)
        raise AudiometryError(
            f"the gate could not judge: {type(error).__name__}: {error}; AUDIOMETRY_LOG_LEVEL=INFO shows where"
        ) from error
    raise typer.Exit(found.exit_code)


def _judged(baseline: str, candidate: str, config: Path | None, store: str | None) -> Gate:
    from audiometry.benchmark.compare import open_side
    from audiometry.benchmark.gate import gate
    from audiometry.benchmark.gate_config import DEFAULT, read_gate_config
    from audiometry.benchmark.named_baselines import open_reference

    rules = DEFAULT if config is None else read_gate_config(config)
    return gate(open_reference(baseline, store), open_side(candidate), rules)


def _tell(found: Gate, junit: Path | None, markdown: Path | None, *, as_json: bool) -> None:
    from audiometry.benchmark import gate_report

    if junit is not None:
        gate_report.write_report(junit, gate_report.junit(found))
    if markdown is not None:
        gate_report.write_report(markdown, gate_report.markdown(found))
    try:
        if as_json:
            print(json.dumps(gate_report.gate_document(found), indent=1, ensure_ascii=False, allow_nan=False))
        else:
            gate_report.print_gate(found)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the reader went away (`| head`), and rich would exit; the verdict stands
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def set_named(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The baseline's name.")],
    run: Annotated[str, typer.Argument(metavar="RUN[::MODEL]", help="What it stands for.")],
    store: StoreOption = None,
) -> None:
    """Store a baseline."""
    from audiometry.benchmark.compare import open_side
    from audiometry.benchmark.named_baselines import set_baseline
    from audiometry.benchmark.store import Store

    side = open_side(run)
    with Store.open(store) as opened:
        found = set_baseline(opened, name, side)
    typer.echo(f"{found.name}: {found.model} in run {found.run}", err=True)


def list_named(
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON, and nothing else.")] = False,
) -> None:
    """List baselines."""
    from audiometry.benchmark.named_baselines import baselines
    from audiometry.benchmark.store import Store

    with Store.open(store) as opened:
        found = baselines(opened)
    if as_json:
        rows = [
            {"name": one.name, "run": one.run, "model": one.model, "folder": one.folder,
             "created": one.created.isoformat()}
            for one in found
        ]  # fmt: skip
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for one in found:
        print(f"{one.name}\t{one.model}\t{one.run}\t{one.created:%Y-%m-%d %H:%M}\t{one.folder}")


def remove_named(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The baseline's name.")], store: StoreOption = None
) -> None:
    """Remove a baseline."""
    from audiometry.benchmark.named_baselines import remove_baseline
    from audiometry.benchmark.store import Store

    with Store.open(store) as opened:
        remove_baseline(opened, name)
    typer.echo(f"{name}: removed", err=True)
