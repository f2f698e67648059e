"""``audiometry submit``, ``audiometry submissions`` and ``audiometry import``."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audiometry.leaderboard.submissions.client import Server

__all__ = ["register"]

SUBMIT_HELP = """Submit a checkpoint folder that holds audiometry.yaml, to be run and verified.

It is checked here first. With --server it is then sent there, with the token in AUDIOMETRY_TOKEN; else it is queued in
the store of this machine, where `audiometry worker` runs it.

\b
Examples:
  audiometry submit ./ckpt
  audiometry submit ./ckpt --check
  audiometry submit ./ckpt --server https://board.example.org --wait
"""

LIST_HELP = """List submissions with their states; or show one, with every state that it came through.

\b
Examples:
  audiometry submissions
  audiometry submissions --state running
  audiometry submissions 20260101-120000-0a1b2c3d
  audiometry submissions --server https://board.example.org --json
  audiometry submissions --prune
"""

IMPORT_HELP = """Put the run of a run folder into the store as self-reported: shown, marked, never taken for verified.

\b
Examples:
  audiometry import runs/20260101-120000-abcdef
"""

POLL_SECONDS = 2.0
ENDED = ("verified", "rejected")
SHOWN_CHARACTERS = 60

StoreOption = Annotated[str | None, typer.Option(help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")]
ServerOption = Annotated[str | None, typer.Option(help="A server to ask instead of the store of this machine.")]
ArtefactsOption = Annotated[
    str | None,
    typer.Option(help="Where files of submissions are kept. [default: AUDIOMETRY_ARTEFACTS, or below AUDIOMETRY_HOME]"),
]
Row = Mapping[str, Any]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("submit", help=SUBMIT_HELP)(submit)
    app.command("submissions", help=LIST_HELP)(submissions)
    app.command("import", help=IMPORT_HELP)(import_results)


def submit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder with audiometry.yaml and the weights.")],
    server: ServerOption = None,
    store: StoreOption = None,
    artefacts: ArtefactsOption = None,
    submitter: Annotated[str, typer.Option(help="Whose it is, in the store of this machine.")] = "local",
    check: Annotated[bool, typer.Option("--check", help="Check the folder, and submit nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is verified or rejected.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the submission as JSON, and nothing else.")] = False,
) -> int:
    """Submit a folder.

    Raises SubmissionError with the reason where it is refused.
    """
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.submissions.artefacts import ArtefactStore
    from audiometry.leaderboard.submissions.checks import check_folder
    from audiometry.leaderboard.submissions.client import send
    from audiometry.leaderboard.submissions.queue import Queue
    from audiometry.leaderboard.submissions.submit import submit_folder

    if server is not None or check:
        checked = check_folder(folder)
        _warn(checked.warnings)
        if check:
            _say(f"{len(checked.files)} files, {sum(file.size for file in checked.files)} bytes: it may be submitted")
            return 0
        there = _server(str(server))
        row: Row = send(there, folder, checked)
        return _end(row, (lambda: there.submission(row["id"])) if wait else None, as_json)
    with Store.open(store) as opened:
        queue = Queue(opened)
        made = submit_folder(folder, store=opened, artefacts=ArtefactStore(artefacts), submitter=submitter)
        row = _as_row(queue.get(made))
        _warn(row["manifest"]["warnings"])
        return _end(row, (lambda: _as_row(queue.get(made))) if wait else None, as_json)


def submissions(
    submission: Annotated[str | None, typer.Argument(metavar="[ID]", help="One of them.")] = None,
    state: Annotated[str | None, typer.Option(help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-L", min=1, max=1000, help="How many, the newest first.")] = 50,
    server: ServerOption = None,
    store: StoreOption = None,
    artefacts: ArtefactsOption = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete the files, older than a day, of rejected submissions alone.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> int:
    """List submissions."""
    if prune:
        return _prune(store, artefacts)
    if server is not None:
        there = _server(server)
        rows = [there.submission(submission)] if submission else there.submissions(state=state, limit=limit)
    else:
        rows = _local_rows(store, submission, state, limit)
    if as_json:
        shown: object = rows[0] if submission else {"submissions": rows}
        print(json.dumps(shown, indent=1, ensure_ascii=False, default=str))
    else:
        _print(rows)
        for event in rows[0]["events"] if submission else ():
            print(f"  {event['at']}  {event['state']}  {_plain(event['detail'] or '')}")
    return 0


def import_results(
    folder: Annotated[Path, typer.Argument(metavar="RUN_FOLDER", help="A run folder, with run.json and results.json.")],
    store: StoreOption = None,
) -> int:
    """Import self-reported results."""
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.submissions.reported import import_run

    with Store.open(store) as opened:
        print(import_run(folder, opened))
    return 0


def _prune(store: str | None, artefacts: str | None) -> int:
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.submissions.artefacts import ArtefactStore
    from audiometry.leaderboard.submissions.submit import prune

    with Store.open(store) as opened:
        print(f"{prune(opened, ArtefactStore(artefacts))} files deleted")
    return 0


def _server(url: str) -> Server:
    from audiometry.leaderboard.submissions.client import Server

    return Server(url, os.environ.get("AUDIOMETRY_TOKEN", ""))


def _local_rows(store: str | None, submission: str | None, state: str | None, limit: int) -> list[dict[str, Any]]:
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.submissions.queue import Queue

    with Store.open(store) as opened:
        queue = Queue(opened)
        if submission is None:
            return [_as_row(one) for one in queue.listing(state=state, limit=limit)]
        events = [asdict(event) for event in queue.events(submission)]
        return [{**_as_row(queue.get(submission)), "events": events}]


def _as_row(submission: Any) -> dict[str, Any]:
    return {name: getattr(submission, name) for name in submission.__dataclass_fields__}


def _end(row: Row, ask: Callable[[], Row] | None, as_json: bool) -> int:
    """Tell what became of a submission; with `ask`, once it has ended.

    Raises SubmissionError where it was rejected in the end.
    """
    from audiometry.leaderboard.submissions.errors import SubmissionError

    told = ""
    while ask is not None and row["state"] not in ENDED:
        if (now := _state(row)) != told:
            _say(f"{row['id']}: {now}")
            told = now
        time.sleep(POLL_SECONDS)
        row = ask()
    if as_json:
        print(json.dumps(row, indent=1, ensure_ascii=False, default=str))
    else:
        print(f"{row['id']}: {_state(row)}")
    if row["state"] == "rejected":
        raise SubmissionError(f"rejected: {_plain(row['reason'])}")
    return 0


def _state(row: Row) -> str:
    """A state in words, with how far it is.

    >>> _state({"state": "running", "progress": 0.42, "eta_seconds": 190.0})
    'running, 42 %, about 4 min left'
    """
    words = [str(row["state"])]
    if row["state"] == "running":
        words += [f"{100 * row['progress']:.0f} %"] if row["progress"] is not None else []
        words += [_left(row["eta_seconds"])] if row["eta_seconds"] is not None else []
    return ", ".join(words)


def _left(seconds: float) -> str:
    return f"about {seconds:.0f} s left" if seconds < 100 else f"about {-(-seconds // 60):.0f} min left"


def _print(rows: Sequence[Row]) -> None:
    from rich.table import Table
    from rich.text import Text

    from audiometry.benchmark.report import console

    table = Table()
    for heading in ("id", "name", "suite", "submitter", "state", "since", "reason"):
        table.add_column(heading)
    for row in rows:
        cells = [row["id"], row["name"], row["suite"], row["submitter"], _state(row), f"{row['updated']!s:.19}"]
        table.add_row(*(Text(_plain(cell, SHOWN_CHARACTERS)) for cell in cells), Text(_plain(row["reason"])))
    console().print(table)


def _plain(text: str, most: int = 500) -> str:
    """A text from outside that cannot move a terminal's cursor, cut where it is long."""
    plain = "".join(one if one.isprintable() else "\ufffd" for one in text)
    return plain if len(plain) <= most else f"{plain[:most]}…"


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        _say(f"warning: {_plain(warning)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
