"""How much the HTTP interface takes, and how often: sizes, and token buckets by key."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from audiometry.leaderboard.submissions.limits import Limits

__all__ = ["ApiLimits", "Buckets", "Places", "Rate", "network_of"]

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
    how long one may take to arrive. `arriving` uploads may be on their way at one time, `arriving_each` of them with
    one token. `at_once` is how many of those that are here are checked, and how many comparisons or exports are made,
    at one time; an upload waits `turn_seconds` at most until it is checked. `export_rows` is how many results an export
    may hold.
    """

    address: Rate = Rate(1200, 300)
    token: Rate = Rate(600, 150)
    uploads: Rate = Rate(1, 10)
    json_bytes: int = 64 * 2**10
    upload_seconds: float = 3600.0
    arriving: int = 32
    arriving_each: int = 4
    at_once: int = 2
    turn_seconds: float = 300.0
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


class Places:
    """So many `places` in all, of which one key may hold `each`. Threads may share them."""

    def __init__(self, places: int, each: int) -> None:
        self._free, self._each = places, each
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, key: str) -> bool:
        """Take a place for the key; whether there was one.

        >>> places = Places(3, each=2)
        >>> [places.take(key) for key in ("a", "a", "a", "b", "c")]
        [True, True, False, True, False]
        """
        with self._lock:
            if not self._free or self._held[key] >= self._each:
                return False
            self._free -= 1
            self._held[key] += 1
            return True

    def leave(self, key: str) -> None:
        """Give back a place that the key took."""
        with self._lock:
            self._free += 1
            self._held[key] -= 1
            self._held += Counter()  # without keys that hold none


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
