"""How often the gap test finds a gap where there is none, and one of 5 points where there is one.

The errors are real: Whisper on the 540 English prompts of one speaker (`audiometry run`, served by the cache where it
has been run before). They are split at random into halves, 2,000 times. The halves are the same speaker's, so the test
should reject at its nominal rate. Then 5 points are planted: each word of one half is wrong with a further
probability of 0.05.

Run: python benchmarks/gap_test.py [--full], with AUDIOMETRY_HOME where asterisk-en is prepared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from audiometry.benchmark.stats import compare_groups, ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable
from audiometry.tasks.gaps import gap_test

WER = Metric("wer", scale="log", events="errors")
LEVEL, PLANTED = 0.05, 0.05


def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"wer": ratio_of_sums(table, weights, "errors", "words")}


def table_of(errors: FloatArray, words: FloatArray) -> ScoreTable:
    """Recordings of one speaker, each its own cluster: nothing is known that hangs them together."""
    zeros = np.zeros(len(errors), np.int64)
    return ScoreTable({"errors": errors, "words": words}, np.arange(len(errors)), zeros, zeros)


def whisper_errors() -> tuple[FloatArray, FloatArray]:
    """Errors and reference words of each prompt."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        command = [sys.executable, "-m", "audiometry.benchmark.cli", "run", "--quiet", "--json"]
        done = subprocess.run(
            [*command, "-m", "whisper", "-t", "wer-asterisk-en", "-o", str(folder)],
            env=os.environ | {"AUDIOMETRY_STORE": f"sqlite:///{scratch}/store.db"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"the run ended with {done.returncode}: {done.stderr.strip()}")
        scores = pd.read_parquet(folder / "scores.parquet").sort_values("sample_id")
    return scores["count.errors"].to_numpy(np.float64), scores["count.reference"].to_numpy(np.float64)


def split(errors: FloatArray, words: FloatArray, seed: int, permutations: int, *, interval: bool) -> list[bool]:
    """One split: whether the test rejects without a gap and with one, and whether the gap's interval excludes 0."""
    rng = np.random.default_rng([seed, 5])
    groups = rng.permutation(np.repeat(["a", "b"], [len(errors) // 2, len(errors) - len(errors) // 2]))
    planted = errors + rng.binomial(words.astype(np.int64), PLANTED) * (groups == "b")
    tables = table_of(errors, words), table_of(planted, words)
    found = [
        gap_test(table, groups.tolist(), reduce, WER, seed=seed, permutations=permutations) <= LEVEL for table in tables
    ]
    if interval:
        compared = [compare_groups(table, groups.tolist(), reduce, WER, seed=seed, resamples=500) for table in tables]
        found += [bool(one.gap.low is not None and one.gap.low > 0) for one in compared]
    return found


def splits(job: tuple[FloatArray, FloatArray, range, int, bool]) -> list[list[bool]]:
    errors, words, seeds, permutations, interval = job
    return [split(errors, words, seed, permutations, interval=interval) for seed in seeds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=2000)
    parser.add_argument("--full", action="store_true", help="1,999 permutations a test, and the intervals as well")
    parser.add_argument("--processes", type=int, default=2)
    settings = parser.parse_args()
    errors, words = whisper_errors()
    permutations = 1999 if settings.full else 399
    chunks = [range(start, settings.splits, 40) for start in range(40)]
    with ProcessPoolExecutor(settings.processes) as pool:
        jobs = [(errors, words, seeds, permutations, settings.full) for seeds in chunks]
        found = np.array([row for part in pool.map(splits, jobs) for row in part])
    shares = found.mean(axis=0)
    print(
        f"{len(errors)} recordings, {words.sum():.0f} words, WER {errors.sum() / words.sum():.4f}; "
        f"{len(found)} splits, {permutations} permutations"
    )
    if settings.full:
        print(f"interval of the gap excludes 0: {shares[2]:.4f} without a gap, {shares[3]:.4f} with 5 points")
    print(f"gap test at 5 %: rejects {shares[0]:.4f} without a gap, finds {shares[1]:.4f} with 5 points planted, "
          f"value {shares[1]:.4f}")  # fmt: skip


if __name__ == "__main__":
    main()
