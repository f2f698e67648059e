"""Seeds and orders that depend on names only, never on the worker, the batch or the clock."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Sequence

__all__ = ["derangement", "derive_seed", "hash_order"]


def derive_seed(seed: int, *names: str) -> int:
    """A 63-bit seed from the run's seed and names (the task, the sample).

    >>> derive_seed(0, "wer", "a") == derive_seed(0, "wer", "a") != derive_seed(1, "wer", "a")
    True
    """
    text = "\x1f".join([str(seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def hash_order(ids: Iterable[str], first: int | None = None) -> list[int]:
    """Positions of `ids` in a fixed pseudo-random order, or the `first` of them: what ``--limit N`` takes."""
    keyed = ((hashlib.sha256(name.encode()).digest(), position) for position, name in enumerate(ids))
    ordered = sorted(keyed) if first is None else heapq.nsmallest(first, keyed)
    return [position for _, position in ordered]


def derangement(ids: Sequence[str], seed: int) -> list[int]:
    """For each position another position, seeded; none keeps its own. Shape (ids,).

    Raises ValueError for fewer than two ids.
    """
    if len(ids) < 2:
        raise ValueError("a derangement needs at least two samples")
    order = hash_order(f"{seed}\x1f{name}" for name in ids)
    partner = [0] * len(order)
    for here, there in zip(order, order[1:] + order[:1], strict=True):
        partner[here] = there
    return partner
