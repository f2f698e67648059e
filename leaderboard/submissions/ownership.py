"""Whose a name on the board is: the board shows one row for a name, so a submission may not take another's."""

from __future__ import annotations

import sqlalchemy as sa

from audiometry.benchmark.registry import MODELS as REGISTERED
from audiometry.benchmark.schema import MEASUREMENTS, MODELS, RUNS, SUBMISSIONS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.names import shown
from audiometry.leaderboard.submissions.states import REJECTED

__all__ = ["check_name_is_free"]


def check_name_is_free(store: Store, name: str, submitter: str) -> None:
    """Make sure that no one else has the name: no model that is registered or was measured here, no other submitter.

    Who has submitted under a name may do so again: that is the next version.

    Raises SubmissionError.
    """
    taken = f"the name {shown(name)} is taken: %s; choose another"
    if name in REGISTERED.names():
        raise SubmissionError(taken % "a model that comes with the harness has it")
    others = sa.select(SUBMISSIONS.c.id).where(
        SUBMISSIONS.c.name == name, SUBMISSIONS.c.submitter != submitter, SUBMISSIONS.c.state != REJECTED
    )
    measured = (
        sa.select(MODELS.c.id)
        .join(MEASUREMENTS, MEASUREMENTS.c.model_id == MODELS.c.id)
        .join(RUNS, RUNS.c.id == MEASUREMENTS.c.run_id)
        .where(MODELS.c.name == name, RUNS.c.origin == "local")
    )
    with store.reading() as connection:
        if connection.execute(others.limit(1)).first() is not None:
            raise SubmissionError(taken % "somebody else has submitted under it")
        if connection.execute(measured.limit(1)).first() is not None:
            raise SubmissionError(taken % "a model of that name was measured here")
