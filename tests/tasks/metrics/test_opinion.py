from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from audiometry.benchmark.errors import DataError, UserError
from audiometry.benchmark.stats import intervals
from audiometry.tasks.metrics import opinion
from audiometry.tasks.metrics.opinion import (
    OPINION_METRICS,
    agreement,
    mean_opinion_scores,
    opinion_reduce,
    opinion_table,
    read_ratings,
    remove_rater_bias,
)


def ratings_of(rows):
    """Rows (rater, system, utterance, rating)."""
    return read_ratings(dict(zip(("rater", "system", "utterance", "rating"), zip(*rows, strict=True), strict=True)))


def designs(largest=5):
    """Tables with missing cells, each cell a rating from 1 to 5."""
    cell = st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 3))
    return st.dictionaries(cell, st.integers(1, largest), min_size=1, max_size=25).map(
        lambda cells: ratings_of([(f"r{r}", f"s{s}", f"u{u}", value) for (r, s, u), value in cells.items()])
    )


def test_tables_are_read_from_pandas_and_from_mappings():
    table = {"annotator": [7, 8], "system": ["b", "a"], "utterance": ["u", "u"], "rating": ["4", 2.5], "note": ["", ""]}
    for given_table in (table, pd.DataFrame(table)):
        ratings = read_ratings(given_table)
        assert len(ratings) == 2
        assert ratings.raters == ("7", "8")
        assert [ratings.systems[code] for code in ratings.system] == ["b", "a"]
        assert ratings.rating.tolist() == [4.0, 2.5]


GOOD = {"rater": ["x", "y", "x"], "system": ["a", "a", "a"], "utterance": ["u", "u", "v"], "rating": [1, 5, 3]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rating": [1, 5.5, 3]}, r"ratings row 2: rating 5.5 is not from 1 to 5"),
        ({"rating": [1, 5, 0]}, r"ratings row 3: rating 0 is not from 1 to 5"),
        ({"rating": [float("nan"), 5, 3]}, r"ratings row 1: rating nan is not from 1 to 5"),
        ({"rating": [1, "good", 3]}, r"ratings row 2: rating 'good' is not a number"),
        ({"rating": [1, None, 3]}, r"ratings row 2: rating None is not a number"),
        ({"rater": ["x", None, "x"]}, r"ratings row 2: no rater"),
        ({"system": ["a", float("nan"), "a"]}, r"ratings row 2: no system"),
        ({"utterance": ["u", "u", ""]}, r"ratings row 3: no utterance"),
        ({"utterance": ["u", "u", "u"]}, r"ratings row 3: rater 'x' rated 'u' of system 'a' already in row 1"),
        ({"rating": [1, 5]}, r"differ in length"),
    ],
)
def test_bad_rows_are_named(change, message):
    with pytest.raises(DataError, match=message):
        read_ratings(GOOD | change)


def test_missing_columns_and_empty_tables_are_refused():
    with pytest.raises(DataError, match="no column rater, rating; there are: system, utterance"):
        read_ratings(pd.DataFrame({"system": ["a"], "utterance": ["u"]}))
    with pytest.raises(DataError, match="there are: none"):
        read_ratings(None)
    with pytest.raises(DataError, match="empty"):
        read_ratings({name: [] for name in GOOD})


def test_another_scale_is_given_by_its_ends():
    assert read_ratings(GOOD | {"rating": [0, 100, 50]}, low=0, high=100).rating.max() == 100


def test_two_way_interval_by_hand():
    # residuals -1 0 / 0 1 by utterance u v and rater x y: sums by rater -1 1, by utterance -1 1, single -1 0 0 1
    ratings = ratings_of([("x", "a", "u", 3), ("y", "a", "u", 4), ("x", "a", "v", 4), ("y", "a", "v", 5)])
    score = mean_opinion_scores(ratings)[0].score
    variance = 2 * (2 * 2 / 16) - (4 / 3) * 2 / 16
    assert score.value == 4.0
    assert score.high - 4.0 == pytest.approx(12.706204736 * np.sqrt(variance), rel=1e-6)
    assert (4.0 - score.low, score.clusters, score.method) == (pytest.approx(score.high - 4.0), 2, "two-way t")


@given(designs())
@settings(deadline=None)
def test_two_way_interval_contains_either_ways_spread(ratings):
    frame = pd.DataFrame({"s": ratings.system, "u": ratings.utterance, "r": ratings.rater, "y": ratings.rating})
    for entry in mean_opinion_scores(ratings):
        rows = frame[frame.s == ratings.systems.index(entry.system)]
        assert entry.score.value == pytest.approx(rows.y.mean())
        assert (entry.ratings, entry.raters, entry.utterances) == (len(rows), rows.r.nunique(), rows.u.nunique())
        if min(entry.raters, entry.utterances) == 1:
            assert entry.score.low is None
            assert entry.score.notes
            continue
        for side in ("r", "u"):
            sums = (rows.y - rows.y.mean()).groupby(rows[side]).sum()
            error = np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1)) / len(rows)
            assert entry.score.high - entry.score.value >= error - 1e-12


def crowd(generator, utterances, raters, each):
    """One system: every utterance by `each` of the raters; both differ, and the scale is 1 to 5 in whole steps."""
    utterance = np.repeat(np.arange(utterances), each)
    rater = np.concatenate([generator.permutation(raters)[:each] for _ in range(utterances)])
    value = 3.4 + 0.5 * generator.normal(size=utterances)[utterance] + 0.5 * generator.normal(size=raters)[rater]
    return rater, utterance, np.clip(np.round(value + 0.7 * generator.normal(size=len(rater))), 1, 5)


def coverage(utterances, raters, each, simulations):
    """Share of simulations whose interval holds the population's mean: (two-way, ratings taken as independent)."""
    generator = np.random.default_rng(1)
    parts = generator.normal(size=(3, 1_000_000))
    truth = np.clip(np.round(3.4 + 0.5 * parts[0] + 0.5 * parts[1] + 0.7 * parts[2]), 1, 5).mean()
    hits = np.zeros(2)
    for _ in range(simulations):
        rater, utterance, value = crowd(generator, utterances, raters, each)
        found = opinion._two_way_interval(value, opinion._recoded(rater), utterance)
        plain = 1.96 * value.std(ddof=1) / np.sqrt(len(value))
        hits += [found.low <= truth <= found.high, abs(value.mean() - truth) <= plain]
    return hits / simulations


@pytest.mark.slow
@pytest.mark.parametrize(("utterances", "raters", "each"), [(20, 8, 8), (50, 20, 5), (40, 300, 8)])
def test_two_way_interval_covers_where_independent_ratings_do_not(utterances, raters, each):
    covered, independent = coverage(utterances, raters, each, 600)
    assert 0.925 <= covered <= 0.985
    assert independent < 0.85


@pytest.mark.parametrize("cluster", ["utterance", "rater"])
def test_one_way_intervals_are_the_projects(cluster):
    rater, utterance, value = crowd(np.random.default_rng(0), 30, 12, 6)
    rows = [(f"r{r}", "b", f"u{u}", v) for r, u, v in zip(rater, utterance, value, strict=True)]
    ratings = ratings_of([*rows, ("r0", "a", "u99", 1)])
    table = opinion_table(ratings, "b", cluster=cluster)
    assert table.clusters == (30 if cluster == "utterance" else 12)
    expected = intervals(table, opinion_reduce(), OPINION_METRICS, seed=3)["mos"]
    assert mean_opinion_scores(ratings, cluster=cluster, seed=3)[1].score == expected
    assert expected.low < value.mean() < expected.high


def test_a_table_of_a_system_nobody_rated_is_refused():
    with pytest.raises(DataError, match="nobody rated a system 'z'; there are: a"):
        opinion_table(read_ratings(GOOD), "z")


def dense_additive(ratings, items):
    """Rater effects through the full indicator matrix and numpy's least squares."""
    item = ratings.stimulus if items == "stimulus" else ratings.system
    matrix = np.hstack([np.eye(len(ratings.raters))[ratings.rater], np.eye(item.max() + 1)[item]])
    solution = np.linalg.lstsq(matrix, ratings.rating, rcond=None)[0]
    if np.linalg.matrix_rank(matrix) < matrix.shape[1] - 1:
        return None
    bias = solution[: len(ratings.raters)]
    return bias - bias.mean()


@given(designs(), st.sampled_from(["stimulus", "system"]))
@settings(deadline=None, max_examples=200)
def test_rater_bias_equals_dense_least_squares_or_the_design_is_in_parts(ratings, items):
    expected = dense_additive(ratings, items)
    if expected is None:
        with pytest.raises(DataError, match=rf"parts that share no {items}"):
            remove_rater_bias(ratings, items=items)
        return
    corrected, biases = remove_rater_bias(ratings, items=items)
    np.testing.assert_allclose([biases[name] for name in ratings.raters], expected, atol=1e-9)
    np.testing.assert_allclose(corrected.rating, ratings.rating - expected[ratings.rater], atol=1e-9)


@given(designs(largest=3), st.lists(st.sampled_from([0, 1, 2]), min_size=4, max_size=4))
@settings(deadline=None)
def test_a_shift_of_a_rater_is_taken_out(ratings, shift):
    assume(dense_additive(ratings, "stimulus") is not None)
    shift = np.array(shift, float)[: len(ratings.raters)]
    moved = read_ratings(
        {
            "rater": [ratings.raters[i] for i in ratings.rater], "system": ratings.system,
            "utterance": ratings.utterance, "rating": ratings.rating + shift[ratings.rater],
        }
    )  # fmt: skip
    before, after = remove_rater_bias(ratings)[0], remove_rater_bias(moved)[0]
    np.testing.assert_allclose(after.rating, before.rating + shift.mean(), atol=1e-9)


def test_a_full_design_keeps_every_systems_mean():
    generator = np.random.default_rng(2)
    rows = [
        (f"r{r}", f"s{s}", f"u{u}", int(generator.integers(1, 6))) for r in range(5) for s in range(3) for u in range(4)
    ]
    ratings = ratings_of(rows)
    corrected, _ = remove_rater_bias(ratings)
    before, after = ([entry.score.value for entry in mean_opinion_scores(r)] for r in (ratings, corrected))
    np.testing.assert_allclose(after, before)


def test_bias_changes_who_wins_where_a_lenient_rater_heard_one_system_more():
    rows = [("kind", "bad", f"u{i}", 4) for i in range(4)] + [("kind", "good", "u0", 5)]
    rows += [("strict", "good", f"u{i}", 3) for i in range(4)] + [("strict", "bad", "u0", 2)]
    ratings = ratings_of(rows)
    raw = {entry.system: entry.score.value for entry in mean_opinion_scores(ratings)}
    corrected, biases = remove_rater_bias(ratings, items="system")
    fair = {entry.system: entry.score.value for entry in mean_opinion_scores(corrected)}
    assert raw["bad"] > raw["good"]
    assert fair["good"] - fair["bad"] == pytest.approx(1.0)
    assert biases == pytest.approx({"kind": 1.0, "strict": -1.0})


def test_a_design_in_parts_says_who_shares_nothing():
    ratings = ratings_of([("x", "a", "u", 3), ("y", "a", "v", 4)])
    with pytest.raises(
        DataError, match=r"2 parts that share no stimulus \(one holds 'x', another 'y'\).*items='system'"
    ):
        remove_rater_bias(ratings)
    assert remove_rater_bias(ratings, items="system")[1] == pytest.approx({"x": -0.5, "y": 0.5})


def test_one_rater_has_no_bias():
    assert remove_rater_bias(ratings_of([("x", "a", "u", 3), ("x", "a", "v", 5)]))[1] == {"x": 0.0}


def plain_alpha(ratings, level):
    """Krippendorff's alpha from pairs: mean squared distance within stimuli over that of all ratings together."""
    stimulus = ratings.stimulus
    kept = np.bincount(stimulus)[stimulus] > 1
    stimulus, value = stimulus[kept], ratings.rating[kept]
    if level == "ordinal":  # ordinal distances are differences of mean ranks
        value = np.array([(value < v).sum() + (value == v).sum() / 2 for v in value])
    distance = (value[:, None] - value[None]) ** 2
    if level == "nominal":
        distance = (distance > 0).astype(float)
    n = len(value)
    size = np.bincount(stimulus)[stimulus]
    observed = (distance * (stimulus[:, None] == stimulus[None]) / (size - 1)[:, None]).sum() / n
    return 1 - observed / (distance.sum() / (n * (n - 1)))


@given(designs(), st.sampled_from(["interval", "ordinal", "nominal"]))
@settings(deadline=None, max_examples=200)
def test_agreement_equals_its_definition_by_pairs(ratings, level):
    stimulus = ratings.stimulus
    kept = ratings.rating[np.bincount(stimulus)[stimulus] > 1]
    if len(set(kept)) < 2:
        with pytest.raises(DataError, match="agreement"):
            agreement(ratings, level)
        return
    assert agreement(ratings, level) == pytest.approx(plain_alpha(ratings, level), abs=1e-9)


def test_agreement_of_the_published_example():
    # Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), example C: 4 observers, 12 units, some missing
    table = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
    rows = [(f"o{o}", "s", f"u{u}", v) for o, line in enumerate(table) for u, v in enumerate(line.split()) if v != "."]
    ratings = ratings_of(rows)
    assert agreement(ratings, "interval") == pytest.approx(0.849, abs=5e-4)
    assert agreement(ratings, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert agreement(ratings, "nominal") == pytest.approx(0.743, abs=5e-4)


def test_agreement_refuses_what_would_not_fit_in_memory(monkeypatch):
    monkeypatch.setattr(opinion, "LARGEST_AGREEMENT", 3)
    with pytest.raises(DataError, match="1 stimuli with 2 different ratings; round the ratings"):
        agreement(read_ratings(GOOD))


def test_without_krippendorff_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(UserError, match=r"audiometry\[quality\]"):
        agreement(read_ratings(GOOD))
