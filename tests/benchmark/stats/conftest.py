from __future__ import annotations

import numpy as np
import pytest

from audiometry.benchmark.stats import mean_of, ratio_of_sums
from audiometry.benchmark.types import ScoreTable


class Tables:
    """Small score tables, and the reductions that go with them."""

    @staticmethod
    def of(counts, cluster=None, stratum=None):
        size = len(next(iter(counts.values())))
        cluster = np.arange(size) if cluster is None else np.asarray(cluster)
        stratum = np.zeros(size, int) if stratum is None else np.asarray(stratum)
        first = np.unique(cluster, return_index=True)[1]
        homes = stratum[first]
        spans = bool(np.any(homes[cluster] != stratum))
        return ScoreTable({name: np.asarray(x, float) for name, x in counts.items()}, cluster, stratum, homes, spans)

    @classmethod
    def mean(cls, x, cluster=None, stratum=None):
        return cls.of({"x": x}, cluster, stratum)

    @classmethod
    def speech(cls, seed, speakers=30, each=6, rate=0.1):
        rng = np.random.default_rng(seed)
        words = rng.integers(4, 20, speakers * each)
        hard = rng.gamma(4, 0.25, speakers).repeat(each)
        return cls.of(
            {"errors": rng.poisson(rate * hard * words), "words": words}, np.repeat(np.arange(speakers), each)
        )

    @staticmethod
    def reduce_mean(table, weights):
        return {"x": mean_of(table, weights, "x")}

    @staticmethod
    def reduce_wer(table, weights):
        return {"wer": ratio_of_sums(table, weights, "errors", "words")}


@pytest.fixture(scope="session")
def tables():
    return Tables
