"""Token buckets: what is let through in any time is bounded, and what is refused comes through when it was told to."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiometry.leaderboard.api.limits import Buckets, Rate, network_of


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    rate=st.builds(Rate, st.floats(0.1, 6000), st.integers(1, 50)),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=60),
)
def test_no_more_than_the_burst_and_what_was_refilled(rate: Rate, pauses: list[float]) -> None:
    clock = Clock()
    buckets = Buckets(rate, clock=clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += buckets.take("a") == 0
    assert taken <= rate.burst + sum(pauses[1:]) * rate.per_minute / 60 + 1e-6
    assert taken >= min(rate.burst, len(pauses))


@given(st.builds(Rate, st.floats(0.1, 6000), st.integers(1, 50)))
def test_after_the_wait_there_is_one_and_not_before(rate: Rate) -> None:
    clock = Clock()
    buckets = Buckets(rate, clock=clock)
    assert all(buckets.take("a") == 0 for _ in range(rate.burst))
    wait = buckets.take("a")
    assert wait == pytest.approx(60 / rate.per_minute)
    clock.now += wait * 0.9
    assert buckets.take("a") > 0
    clock.now += wait * 0.1 + 1e-9 * wait
    assert buckets.take("a") == 0


def test_keys_do_not_share_and_the_longest_unused_is_forgotten() -> None:
    clock = Clock()
    buckets = Buckets(Rate(1, 1), clock=clock, keys=2)
    assert [buckets.take(key) for key in ("a", "b", "a")] == [0.0, 0.0, 60.0]
    assert buckets.take("c") == 0.0  # b, used before a was asked for again, is forgotten
    assert buckets.take("a") == 60.0
    assert buckets.take("b") == 0.0


def test_threads_share_a_bucket() -> None:
    buckets = Buckets(Rate(1, 500), clock=lambda: 0.0)
    taken: list[float] = []
    threads = [threading.Thread(target=lambda: taken.extend(buckets.take("a") for _ in range(200))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken.count(0.0) == 500


@pytest.mark.parametrize(("per_minute", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_that_never_fills_is_refused(per_minute: float, burst: int) -> None:
    with pytest.raises(ValueError, match="a rate is positive"):
        Rate(per_minute, burst)


def test_one_host_is_one_address() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("fe80::1%eth0") == "fe80::"
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
