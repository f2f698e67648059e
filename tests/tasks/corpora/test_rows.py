import doctest

import pytest

from audiometry.benchmark.types import Audio
from audiometry.tasks.corpora import rows
from audiometry.tasks.corpora.rows import RatedUtterance, Rating, rating_columns
from audiometry.tasks.metrics.opinion import read_ratings


def rated(name, system, *ratings):
    given = tuple(Rating(rater, value) for rater, value in ratings)
    return RatedUtterance(name, Audio(f"{name}.wav"), system, name.removeprefix(f"{system}-"), given)


def test_the_mean_opinion_score_is_the_mean_of_the_ratings():
    assert rated("a-u", "a", ("ann", 3.0), ("bob", 4.0), ("eve", 5.0)).mos == 4.0


def test_ratings_go_into_the_opinion_metrics_as_they_are():
    table = read_ratings(
        rating_columns([rated("a-u", "a", ("ann", 3), ("bob", 5)), rated("b-u", "b", ("ann", 2), ("ann", 3))])
    )
    assert (table.raters, table.systems, table.utterances) == (("ann", "bob"), ("a", "b"), ("u",))
    assert table.rating.tolist() == [3.0, 5.0, 2.5]


def test_rows_do_not_change():
    with pytest.raises(AttributeError):
        rated("a-u", "a").system = "b"


def test_examples():
    assert doctest.testmod(rows).failed == 0
