"""Answers given twice, before and after a change; and memory after each batch."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from audiometry.benchmark.types import Output, Segment, Waveform
from audiometry.benchmark.validate_checks import SURE, changed, memory_growth, repeated
from audiometry.benchmark.validate_differences import best_label, differ, gaps, plain_text

MIB = 2**20


def texts(*words: str) -> dict[int, Output]:
    return {i: Output(text=word) for i, word in enumerate(words)}


def names(count: int) -> dict[int, str]:
    return {i: f"s{i}" for i in range(count)}


def audio(*samples: float, rate: int = 8000) -> Output:
    return Output(audio=Waveform(np.array(samples, np.float32), rate))


def embedding(*values: float) -> Output:
    return Output(embedding=np.array(values, np.float32))


class TestGaps:
    def test_texts(self) -> None:
        (gap,) = gaps(Output(text="kitten"), Output(text="sitting"), 9.0)
        assert (gap.kind, gap.size, gap.moved, gap.form_only) == ("text", 3.0, True, False)
        (gap,) = gaps(Output(text="Please hold."), Output(text="please  hold"), 0.0)
        assert gap.moved
        assert gap.form_only
        (gap,) = gaps(Output(text="a"), Output(text="a"), 0.0)
        assert (gap.size, gap.moved) == (0.0, False)
        assert gaps(Output(), Output(), 0.0) == []

    def test_plain_text(self) -> None:
        assert plain_text(" ＡＢＣ\t„ß“! ") == "abc ss"

    @pytest.mark.parametrize(
        ("a", "b", "size"),
        [
            (Output(score=1.0), Output(score=1.25), 0.25),
            (Output(labels={"x": 0.7, "y": 0.3}), Output(labels={"x": 0.9, "z": 0.1}), 0.3),
            (Output(segments=(Segment(0, 1, "a", 0.5),)), Output(segments=(Segment(0, 1.5, "a", 0.7),)), 0.5),
            (audio(0.0, 0.5), audio(0.25, 0.0), 0.5),
            (embedding(1, 0), embedding(0, 1), 1.0),
            (embedding(1, 1), embedding(-2, -2), 2.0),
        ],
    )
    def test_numbers(self, a: Output, b: Output, size: float) -> None:
        (gap,) = gaps(a, b, 0.0)
        assert gap.size == pytest.approx(size)
        assert gap.moved
        assert gaps(b, a, 0.0)[0].size == pytest.approx(size)
        assert not differ(a, b, size + 1e-9)
        assert not differ(a, a, 0.0)

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (Output(score=1.0), Output(text="x")),
            (Output(segments=(Segment(0, 1, "a"),)), Output(segments=(Segment(0, 1, "b"),))),
            (audio(0.0), audio(0.0, 0.0)),
            (audio(0.0), audio(0.0, rate=16000)),
            (audio(0.0), Output()),
            (embedding(1), embedding(1, 1)),
            (Output(), embedding(1)),
            (embedding(0, 0), embedding(1, 1)),
            (audio(math.nan), audio(0.0)),
            (Output(status="refused", text="no"), Output(text="yes")),
            (Output(labels={"a": 0.500001, "b": 0.499999}), Output(labels={"b": 0.500001, "a": 0.499999})),
            (Output(labels={"a": 0.0}), Output()),
        ],
    )
    def test_what_no_tolerance_excuses(self, a: Output, b: Output) -> None:
        assert differ(a, b, 0.1)
        assert differ(b, a, 0.1)

    def test_what_is_no_answer_is_not_compared(self) -> None:
        assert not differ(Output(timings={"total": 1.0}), Output(usage={"cost": 1.0}), 0.0)
        assert not differ(Output(status="error", error="at 0x1"), Output(status="error", error="at 0x2"), 0.0)
        assert not differ(embedding(0, 0), embedding(0, 0), 0.0)

    def test_failures_are_told_with_their_reason(self) -> None:
        (gap,) = gaps(Output(status="error", error="broken"), Output(status="empty"), 0.0)
        assert (gap.before, gap.after) == ("error: broken", "empty")

    def test_best_label(self) -> None:
        assert best_label({"b": 0.5, "a": 0.5, "c": 0.1}) == "a"
        assert best_label({}) is None


class TestChanged:
    def test_a_change_that_moves_one(self) -> None:
        before, after = texts("a", "b", "c"), texts("a", "b", "Cd")
        check = changed("order", (before, before), (after, after), names(3), 0.0)
        assert (check.verdict, check.moved, check.compared, check.hidden) == ("moves", 1, 3, 0)
        assert [(one.sample_id, one.before, one.after) for one in check.examples] == [("s2", "c", "Cd")]

    def test_examples_are_the_largest_and_few(self) -> None:
        before, after = texts(*"abcdefgh"), texts(*(letter + "x" * i for i, letter in enumerate("abcdefgh")))
        check = changed("order", (before, before), (after, after), names(8), 0.0)
        assert [one.size for one in check.examples] == [7, 6, 5, 4, 3]
        assert check.largest == {"text": 7}

    def test_answers_that_change_by_themselves_hide_the_rest(self) -> None:
        check = changed("batch", (texts("a", "b"), texts("a", "B")), (texts("a", "x"), texts("a", "y")), names(2), 0.0)
        assert (check.verdict, check.moved, check.hidden) == ("unclear", 0, 1)

    def test_an_effect_is_seen_among_a_few_random_ones(self) -> None:
        before, again = texts(*"abcdef", "1"), texts(*"abcdef", "2")
        after, once_more = texts(*"uvwxyz", "1"), texts(*"uvwxyz", "2")
        check = changed("batch", (before, again), (after, once_more), names(7), 0.0)
        assert (check.verdict, check.moved, check.hidden) == ("moves", 6, 1)
        few = changed("batch", (texts("a", "1"), texts("a", "2")), (texts("u", "1"), texts("u", "2")), names(2), 0.0)
        assert few.verdict == "unclear"

    def test_the_chance_of_blaming_what_is_random(self) -> None:
        """Coins as answers: at most `SURE` of the time, but for the steps of the binomial distribution."""
        coins = random.Random(1)

        def toss() -> dict[int, Output]:
            return texts(*(coins.choice("ht") for _ in range(24)))

        blamed = sum(
            changed("order", (toss(), toss()), (toss(), toss()), names(24), 0.0).verdict == "moves" for _ in range(600)
        )
        assert stats.binomtest(blamed, 600, SURE, alternative="greater").pvalue > 0.001

    def test_repetition_counts_each_sample_once(self) -> None:
        pairs = [(texts("a", "b"), texts("a", "x")), (texts("a", "b"), texts("a", "y")), (texts("a", "b"),) * 2]
        check = repeated(pairs, names(2), 0.0)  # type: ignore[arg-type]
        assert (check.verdict, check.moved, check.compared) == ("moves", 1, 2)
        check = repeated(iter([(texts("A."), texts("a"))]), names(1), 0.0)
        assert check.form_only == 1


class TestMemory:
    def test_steady_growth(self) -> None:
        held = [i * 8 * MIB for i in range(13)]
        found = memory_growth(held, [8] * 12, 100 * MIB)
        assert (found.growth, found.low, found.high, found.peak) == (100.0, 100.0, 100.0, 100.0)
        assert found.verdict == "moves"

    def test_a_last_batch_that_is_smaller(self) -> None:
        held = [MIB * done for done in (0, 5, 7, 12, 14, 19, 21)]
        found = memory_growth(held, [5, 2] * 3, 0)
        assert (found.growth, found.low, found.high) == pytest.approx((100, 100, 100))

    def test_no_growth(self) -> None:
        assert memory_growth([5 * MIB] * 7, [8] * 6, 0).verdict == "same"
        assert memory_growth([MIB * left for left in range(9, 0, -1)], [1] * 8, 0).verdict == "same"

    def test_one_jump_is_no_leak(self) -> None:
        assert memory_growth([0] * 6 + [50 * MIB] * 6, [8] * 11, 0).verdict == "same"
        assert memory_growth([0] * 6 + [50 * MIB], [8] * 6, 0).verdict == "unclear"

    def test_few_batches_say_nothing(self) -> None:
        found = memory_growth([0, 8 * MIB, 16 * MIB], [8, 8], 0)
        assert (found.growth, found.low, found.high, found.verdict) == (100.0, -math.inf, math.inf, "unclear")

    @given(st.lists(st.integers(0, 10**9), min_size=7, max_size=40))
    def test_the_interval_is_that_of_the_median(self, held: list[int]) -> None:
        found = memory_growth(held, [100] * (len(held) - 1), 0)
        steps = [(b - a) / MIB for a, b in itertools.pairwise(held)]
        wanted = stats.quantile_test(steps, q=0, p=0.5).confidence_interval(0.95)
        assert found.growth == pytest.approx(float(np.median(steps)))
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
