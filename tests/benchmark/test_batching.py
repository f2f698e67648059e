from __future__ import annotations

from audiometry.benchmark.batching import BatchSizer, resident_bytes, spare_bytes


def grown(sizer: BatchSizer, seconds_of, rounds: int = 100) -> list[int]:
    """Sizes that were tried, with batches that take `seconds_of(size)`."""
    sizes = []
    for _ in range(rounds):
        if sizer.settled:
            break
        sizes.append(sizer.size)
        sizer.record(sizer.size, work=sizer.size, seconds=seconds_of(sizer.size))
    return sizes


def roomy(**more) -> BatchSizer:
    return BatchSizer(resident=lambda: 10**8, spare=lambda: 10**10, **more)


def test_a_model_that_gains_nothing_is_asked_one_by_one() -> None:
    sizer = roomy()
    assert max(grown(sizer, lambda size: 0.1 * size)) == 2
    assert (sizer.size, sizer.settled) == (1, True)


def test_the_size_grows_to_the_bound_where_it_always_helps() -> None:
    sizer = roomy(largest=48)
    grown(sizer, lambda size: 1.0)
    assert sizer.size == 32


def test_growth_stops_before_memory_runs_out() -> None:
    held = [10**8]
    sizer = BatchSizer(resident=lambda: held[0], spare=lambda: 10**9)

    def seconds(size: int) -> float:
        held[0] = 10**8 + size * 5 * 10**7  # 50 MB a sample
        return 1.0

    grown(sizer, seconds)
    assert sizer.settled
    assert sizer.size == 8


def test_what_was_too_large_is_not_tried_again() -> None:
    sizer = roomy()
    grown(sizer, lambda size: 1.0, rounds=8)
    assert sizer.size == 8
    sizer.failed(8)
    assert (sizer.size, sizer.settled, sizer.largest) == (4, True, 4)
    sizer.record(4, work=4, seconds=0.1)
    assert sizer.size == 4


def test_part_batches_and_the_first_one_are_not_timed() -> None:
    sizer = roomy()
    sizer.record(1, work=1, seconds=100.0)
    for _ in range(5):
        sizer.record(3, work=3, seconds=1e-6)
    assert (sizer.size, sizer.settled) == (1, False)


def test_the_machine_tells_its_memory() -> None:
    assert resident_bytes() > 10**7
    assert spare_bytes() > 0
