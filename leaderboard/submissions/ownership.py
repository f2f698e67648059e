"""Whose a name on the board is: the board shows one row for a name, so a submission may not take another's."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from audiometry.benchmark.registry import MODELS as REGISTERED
from audiometry.benchmark.schema import MEASUREMENTS, MODELS, RUNS, SUBMISSIONS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.names import likeness, shown
from audiometry.leaderboard.submissions.states import REJECTED

__all__ = ["check_name_is_free"]

PAGE = 1000


def check_name_is_free(store: Store, name: str, submitter: str) -> None:
    """Make sure that no one else has the name: no model that is registered or was measured here, no other submitter.

    Names that look alike are one (`names.likeness`), and a registered name with settings behind it is that model's too.
    Who has submitted under a name may do so again: that is the next version.

    Raises SubmissionError.
    """
    taken = f"the name {shown(name)} is taken: %s; choose another"
    wanted = likeness(name)
    if wanted.partition(":")[0] in {likeness(one) for one in REGISTERED.names()}:
        raise SubmissionError(taken % "a model that comes with the harness has it")
    others = sa.select(SUBMISSIONS.c.name).where(SUBMISSIONS.c.submitter != submitter, SUBMISSIONS.c.state != REJECTED)
    local = sa.select(MEASUREMENTS.c.model_id).join(RUNS, RUNS.c.id == MEASUREMENTS.c.run_id)
    measured = sa.select(MODELS.c.name).where(MODELS.c.id.in_(local.where(RUNS.c.origin == "local")))
    with store.reading() as connection:
        if _alike(connection, others, wanted):
            raise SubmissionError(taken % "somebody else has submitted under it")
        if _alike(connection, measured, wanted):
            raise SubmissionError(taken % "a model of that name was measured here")


def _alike(connection: sa.Connection, names: sa.Select[Any], wanted: str) -> bool:
    """Whether one of the names looks like the one that is wanted."""
    rows = connection.execute(names.distinct(), execution_options={"yield_per": PAGE})
    return any(likeness(name) == wanted for (name,) in rows)
