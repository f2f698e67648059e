"""How much the HTTP interface takes, and how often: sizes, and token buckets by key."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from audiometry.leaderboard.submissions.limits import Limits

__all__ = ["ApiLimits", "Buckets", "Rate", "network_of"]

KEYS = 100_000
"""How many keys are remembered: the longest unused is forgotten first, and starts again with a full bucket."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: `burst` at once, refilled by `per_minute` in a minute."""

    per_minute: float
    burst: int

    def __post_init__(self) -> None:
        """Refuse a bucket that never fills."""
        if self.per_minute <= 0 or self.burst < 1:
            raise ValueError(f"a rate is positive and its burst at least 1, not {self.per_minute} and {self.burst}")


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """The most that the interface takes.

    `address` counts every request of a network address, `token` those with one token, `uploads` the submissions sent
    with one token. `json_bytes` bounds every body but a submission's, which `submission` bounds; `upload_seconds` is
    how long one may take to arrive. `at_once` is how many uploads, and how many comparisons or exports, are worked on
    at one time. `export_rows` is how many results an export may hold.
    """

    address: Rate = Rate(1200, 300)
    token: Rate = Rate(600, 150)
    uploads: Rate = Rate(1, 10)
    json_bytes: int = 64 * 2**10
    upload_seconds: float = 3600.0
    at_once: int = 2
    export_rows: int = 200_000
    submission: Limits = field(default_factory=Limits)


class Buckets:
    """Token buckets of one `rate`, one a key. Threads may share them."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float] = time.monotonic, keys: int = KEYS) -> None:
        self._rate, self._clock, self._keys = rate, clock, keys
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take one from the key's bucket: 0 where there was one, else the seconds until there is (and none is taken).

        >>> now = 0.0
        >>> buckets = Buckets(Rate(per_minute=60, burst=2), clock=lambda: now)
        >>> [buckets.take("a") for _ in range(3)], buckets.take("b")
        ([0.0, 0.0, 1.0], 0.0)
        """
        with self._lock:
            now = self._clock()
            level, before = self._filled.pop(key, (float(self._rate.burst), now))
            level = min(float(self._rate.burst), level + (now - before) * self._rate.per_minute / 60)
            wait = 0.0 if level >= 1 else (1 - level) * 60 / self._rate.per_minute
            self._filled[key] = (level - 1 if level >= 1 else level, now)
            if len(self._filled) > self._keys:
                self._filled.popitem(last=False)
            return wait


def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, or the first 64 bits of an IPv6 one, which one host holds whole.

    >>> network_of("192.0.2.1"), network_of("2001:db8:0:1:2:3:4:5"), network_of("::ffff:192.0.2.1"), network_of("x")
    ('192.0.2.1', '2001:db8:0:1::', '192.0.2.1', 'x')
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
