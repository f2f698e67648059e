"""How far each submission is, as people read it. Pure functions over the queue's rows; no page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from audiometry.benchmark.schema import SUBMISSIONS
from audiometry.benchmark.store import Store
from audiometry.leaderboard import tables
from audiometry.leaderboard.figures import short_name
from audiometry.leaderboard.marks import page_link
from audiometry.leaderboard.markup import word
from audiometry.leaderboard.submissions.queue import Event, Submission
from audiometry.leaderboard.submissions.states import QUEUED, REJECTED, RUNNING, STATES, VERIFIED

__all__ = ["ACTIVE", "count", "describe_seconds", "events_table", "how_far", "rows_of", "submissions_table"]

ACTIVE = tuple(state for state in STATES if state not in (VERIFIED, REJECTED))
"""States in which something is still to come."""

MEANINGS: Mapping[str, str] = {
    "received": "its files are being checked",
    "checked": "its files are what they should be",
    "queued": "waits for a worker",
    "running": "a worker runs its suite",
    "verified": "its results are on the board",
    "rejected": "refused, with the reason",
}


def count(store: Store, state: str | None = None) -> int:
    """How many submissions there are, in all or in a state."""
    query = sa.select(sa.func.count()).select_from(SUBMISSIONS)
    query = query.where(SUBMISSIONS.c.state == state) if state is not None else query
    with store.reading() as connection:
        return int(connection.execute(query).scalar_one())


def describe_seconds(seconds: float) -> str:
    """A time to wait, as people say it.

    >>> [describe_seconds(seconds) for seconds in (20, 95, 4000, 100_000)]
    ['under a minute', 'about 2 min', 'about 1 h 7 min', 'about 28 h']
    """
    minutes = round(seconds / 60)
    if seconds < 60:
        return "under a minute"
    if minutes < 60:
        return f"about {minutes} min"
    return f"about {minutes // 60} h {minutes % 60} min" if minutes < 24 * 60 else f"about {round(minutes / 60)} h"


def how_far(submission: Submission) -> str:
    """What a state means just now: progress and time left of one that runs, tries of one that waits again."""
    if submission.state == RUNNING and submission.progress is not None:
        left = "" if submission.eta_seconds is None else f", {describe_seconds(submission.eta_seconds)} left"
        return f"{100 * submission.progress:.0f} % of its samples answered{left}"
    if submission.state == QUEUED and submission.attempts:
        return f"waits for a worker again, after {submission.attempts} {_tries(submission.attempts)}"
    return MEANINGS[submission.state]


def rows_of(submissions: Sequence[Submission], *, signed_in: bool) -> list[dict[str, Any]]:
    """What is shown and downloaded of submissions. Who sent them, is for those who are signed in."""
    return [
        {
            "id": one.id, "name": one.name, "suite": one.suite, "state": one.state, "how_far": how_far(one),
            "progress": one.progress, "eta_seconds": one.eta_seconds, "reason": one.reason,
            "warnings": [str(warning) for warning in one.manifest.get("warnings", ())],
            "submitter": one.submitter if signed_in else "", "created": one.created, "updated": one.updated,
            "attempts": one.attempts, "run": one.run_id,
        }
        for one in submissions
    ]  # fmt: skip


def submissions_table(rows: Sequence[Mapping[str, Any]], *, signed_in: bool) -> str:
    """`rows_of` as a table, newest first. A verified one's name leads to its model's page."""
    head = ["Name", "State", "How far", "Suite", "Submitted (UTC)", *(["By"] if signed_in else []), "Read with care"]
    body = [
        [
            _name_cell(row),
            f'<td class="am-left" data-name="State"><b>{word(row["state"])}</b></td>',
            tables.cell(row["reason"] if row["state"] == REJECTED else row["how_far"], "How far", left=True),
            tables.cell(row["suite"] or "–", "Suite", left=True),
            tables.cell(f"{row['created']:%Y-%m-%d %H:%M}", "Submitted", left=True),
            *([tables.cell(short_name(row["submitter"], 40), "By", left=True)] if signed_in else []),
            tables.chips_cell(_care(row)),
        ]
        for row in rows
    ]
    left = ("Name", "State", "How far", "Suite", "Submitted (UTC)", "By", "Read with care")
    return tables.table(head, body, "", left=left)


def events_table(events: Sequence[Event], *, whole: bool) -> str:
    """Every state that a submission came through; with the details where it is shown `whole`."""
    rows = [
        [
            tables.name_cell(event.state),
            tables.cell(f"{event.at:%Y-%m-%d %H:%M:%S}", "at", left=True),
            tables.cell(event.detail if whole else "", "detail", left=True),
        ]
        for event in events
    ]
    return tables.table(["State", "Since (UTC)", "Detail"], rows, "", left=("State", "Since (UTC)", "Detail"))


def _name_cell(row: Mapping[str, Any]) -> str:
    name = row["name"]
    if row["state"] != VERIFIED:
        return tables.name_cell(name, note=row["id"])
    under = f'<div class="am-muted">{word(row["id"])}</div>'
    return f'<th scope="row" class="am-left am-name">{page_link("models", name)}{under}</th>'


def _care(row: Mapping[str, Any]) -> list[str]:
    tried = row["attempts"] > 1 or (row["attempts"] and row["state"] == QUEUED)
    last = [f"tried {row['attempts']} times"] if row["attempts"] > 1 else []
    failed = [f"failed last: {row['reason']}"] if tried and row["reason"] and row["state"] != REJECTED else []
    return [*row["warnings"], *last, *failed]


def _tries(count: int) -> str:
    return "try" if count == 1 else "tries"
