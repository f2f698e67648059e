"""The states of a submission, and the moves between them.

::

    received → checked → queued → running → verified
        └─────────┴─────────┴────────┴────→ rejected, with the reason
                             queued ← running, when a worker gave it back or failed
                                      running → running, when its worker was lost and another took over
"""

from __future__ import annotations

from collections.abc import Mapping

from audiometry.benchmark.errors import UserError

__all__ = ["CHECKED", "MOVES", "QUEUED", "RECEIVED", "REJECTED", "RUNNING", "STATES", "VERIFIED", "MoveError"]

RECEIVED = "received"
CHECKED = "checked"
QUEUED = "queued"
RUNNING = "running"
VERIFIED = "verified"
REJECTED = "rejected"

STATES = (RECEIVED, CHECKED, QUEUED, RUNNING, VERIFIED, REJECTED)

MOVES: Mapping[str, tuple[str, ...]] = {
    RECEIVED: (CHECKED, REJECTED),
    CHECKED: (QUEUED, REJECTED),
    QUEUED: (RUNNING, REJECTED),
    RUNNING: (RUNNING, QUEUED, VERIFIED, REJECTED),
    VERIFIED: (),
    REJECTED: (),
}
"""Where a submission may go from each state; nothing leaves the last two."""


class MoveError(UserError):
    """A move that a submission's state does not allow."""
