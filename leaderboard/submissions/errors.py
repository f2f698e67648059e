"""What a submission is refused with."""

from __future__ import annotations

from audiometry.benchmark.errors import UserError

__all__ = ["SubmissionError"]


class SubmissionError(UserError):
    """A submission that is refused. The message is the reason: one line, fit to be shown to its submitter.

    `submission` is the id under which the refusal is kept, if it is.
    """

    submission: str | None = None
