"""Waiting for a database that is away for a while: restarted, failed over, or locked by somebody else."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import exc

from audiometry.benchmark.errors import StoreError

__all__ = ["PATIENCE_SECONDS", "passes", "patiently"]

log = logging.getLogger("audiometry.submissions")

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""How long a database may be away."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0


def passes(error: StoreError) -> bool:
    """Whether what the store complains of may be over in a moment: a connection that was lost or refused, a lock."""
    cause = error.__cause__
    if isinstance(cause, exc.DBAPIError) and cause.connection_invalidated:
        return True
    return isinstance(cause, exc.OperationalError | exc.InterfaceError | exc.TimeoutError)


def patiently(call: Callable[[], T], *, seconds: float = PATIENCE_SECONDS, stop: threading.Event | None = None) -> T:
    """Call until the database answers, with growing pauses; what `call` does must be the same done twice.

    Raises what it raised last: at once where that does not pass or `stop` is set, else after `seconds`.
    """
    stop = stop or threading.Event()
    deadline, wait = time.monotonic() + seconds, FIRST_WAIT
    while True:
        try:
            return call()
        except StoreError as error:
            if not passes(error) or stop.is_set() or time.monotonic() >= deadline:
                raise
            log.warning("the database is away; asking again", extra={"reason": str(error), "wait": round(wait, 1)})
        stop.wait(wait * random.uniform(0.5, 1.0))  # many that wait should not come back at once
        wait = min(2 * wait, LONGEST_WAIT)
