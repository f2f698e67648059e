"""``audiometry worker``."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from audiometry.benchmark.errors import UserError

__all__ = ["register"]

HELP = """Take submissions from the queue, run their suites, and put the results on the board as verified.

Each runs in a process of its own with limits, without a network, and with a read-only view of this machine. Ctrl-C or
SIGTERM gives back what is being worked on.

\b
Examples:
  audiometry worker
  audiometry worker --once --suite core
  audiometry worker --store postgresql://board@db/results --artefacts s3://bucket/submissions
  audiometry worker --memory-limit 16 --time-limit 120
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("worker", help=HELP)(worker)


def worker(
    once: Annotated[bool, typer.Option("--once", help="End as soon as nothing waits.")] = False,
    suite: Annotated[
        list[str] | None, typer.Option(help="Only submissions for this suite; repeat. [default: all]")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")] = None,
    artefacts: Annotated[
        str | None,
        typer.Option(
            help="Where the files of submissions are. [default: AUDIOMETRY_ARTEFACTS, or below AUDIOMETRY_HOME]"
        ),
    ] = None,
    memory_limit: Annotated[float, typer.Option(min=0.5, help="GiB of memory a run may take.")] = 8.0,
    time_limit: Annotated[float, typer.Option(min=0.1, help="Minutes a run may take.")] = 360.0,
    disk_limit: Annotated[float, typer.Option(min=0.1, help="GiB that a run may write.")] = 64.0,
    lease: Annotated[float, typer.Option(min=2.0, help="Seconds until another takes over from a lost worker.")] = 60.0,
    plugin: Annotated[list[str] | None, typer.Option(help="A Python file with tasks or models of your own.")] = None,
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Run without isolation where the kernel refuses it; results say so.")
    ] = False,
) -> int:
    """Work off the queue."""
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.submissions.artefacts import ArtefactStore
    from audiometry.leaderboard.submissions.attempt import Setting, run_suite
    from audiometry.leaderboard.submissions.isolation import RunLimits
    from audiometry.leaderboard.submissions.queue import Queue
    from audiometry.leaderboard.submissions.worker import Worker

    _check_suites(suite or [], plugin or [])
    network = _network(allow=allow_network)
    setting = Setting(
        artefacts=ArtefactStore(artefacts),
        limits=RunLimits(memory=round(memory_limit * 2**30), seconds=time_limit * 60, disk=round(disk_limit * 2**30)),
        plugins=tuple(plugin or ()),
        network=network,
    )
    with Store.open(store) as opened:
        one = Worker(Queue(opened), partial(run_suite, setting=setting), suites=tuple(suite or ()), lease_seconds=lease)
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, lambda *_: one.stop.set()) for number in numbers]
        try:
            ended = one.work(once=once)
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)
    typer.echo(f"{ended} submissions ended", err=True)
    return 0


def _check_suites(suites: Sequence[str], plugins: Sequence[str]) -> None:
    """Raise UnknownNameError for a suite that nobody registered."""
    from audiometry.benchmark.registry import SUITES, load_plugin_file

    for path in plugins:
        load_plugin_file(path)
    for name in suites:
        SUITES.get(name)


def _network(*, allow: bool) -> bool:
    """Whether to run without isolation: only where there is none, and that is allowed.

    Raises UserError where there is none, and that is not.
    """
    from audiometry.leaderboard.submissions.isolation import refusal

    reason = refusal()
    if not reason:
        return False
    if not allow:
        raise UserError(
            f"this machine cannot isolate a run: {reason}; run the worker on a Linux that allows user namespaces, "
            "or give --allow-network for submissions that you trust"
        )
    typer.echo(f"runs are not isolated: {reason}", err=True)
    return True
