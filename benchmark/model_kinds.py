"""The models that are not asked in the plain way: those that wait for others, and controls, which are handed more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from audiometry.benchmark.types import Ability, Output, Request, Target

__all__ = ["Answer", "ControlModel", "WaitingModel"]


@runtime_checkable
class WaitingModel(Protocol):
    """A model that works elsewhere, behind an endpoint say: here one only waits for it.

    Registered with ``waits=True``. It is not asked by Ray's workers but from one process with an event loop, in which
    up to `concurrency` calls of `answer` are under way at once. The engine ends an `answer` that lasts longer than
    ``--sample-timeout`` (status ``timeout``); what `answer` raises becomes status ``error``.
    """

    name: str
    abilities: frozenset[Ability]
    fingerprint: str
    deterministic: bool
    concurrency: int

    async def answer(self, request: Request) -> Output:
        """Answer one request."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


Answer = Literal["own target", "other target", "sample id"]
"""What a control is handed beside the requests: each sample's own target, another sample's, or the sample's id."""


@runtime_checkable
class ControlModel(Protocol):
    """A model that is handed something beside the request, and says what at registration (`given=`)."""

    name: str
    abilities: frozenset[Ability]
    fingerprint: str
    deterministic: bool

    def generate(self, requests: Sequence[Request], given: Sequence[Target]) -> list[Output]:
        """Answer each request from what is given for it."""
        ...

    def close(self) -> None:
        """Give back memory and processes."""
        ...
