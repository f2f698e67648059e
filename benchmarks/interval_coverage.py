"""How often the intervals cover and the tests reject, by simulation from known truth.

Every cell draws data as `_simulation.py` says, calls the same functions as a run does, and counts. Prints Markdown;
``--write docs/statistics.md`` puts it between that page's markers. ``--quick`` runs a few cells with fewer draws.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import _simulation as simulation
import numpy as np

from audiometry.benchmark.stats import (
    Interval,
    compare_groups,
    compare_tables,
    intervals,
    look_level,
    permutation_test,
    rank_tables,
)
from audiometry.benchmark.types import FloatArray, Metric, Reduce, ScoreTable

BAND = (93.0, 97.0)
TEST_BAND = (3.5, 6.5)
REPEATS = 2_000
CHUNK = 50
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
METHODS = ("auto", "t", "percentile", "bca")
PAIRED = ("paired t", "permutation")
GAPS = ("gap", "ratio", "variance")


@dataclass(frozen=True)
class Cell:
    """One line of a table: what is simulated with how many resamples, and which of its columns are judged."""

    section: str
    name: str
    run: Callable[[np.random.Generator, int], dict[str, str]]
    resamples: int
    judged: tuple[str, ...]
    quick: bool = False
    note: str = ""
    repeats: int = REPEATS


def outcome(found: Interval, truth: float) -> str:
    if found.low is None or found.high is None:
        return "none"
    return "high" if truth < found.low else "low" if truth > found.high else "in"


def remembered(reduce: Reduce) -> Reduce:
    """`reduce` that answers the same weights at once: the methods share their resamples."""
    known: dict[tuple[int, bytes], dict[str, FloatArray]] = {}

    def reduced(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
        key = (len(weights), weights.tobytes())
        if key not in known:
            known[key] = dict(reduce(table, weights))
        return known[key]

    return reduced


def by_methods(
    table: ScoreTable, reduce: Reduce, metric: Metric, truth: float, rng: np.random.Generator, resamples: int,
    methods: Sequence[str] = METHODS,
) -> dict[str, str]:  # fmt: skip
    seed, same = int(rng.integers(1 << 31)), remembered(reduce)
    return {
        method: outcome(
            intervals(table, same, [metric], seed=seed, resamples=resamples, method=method)[metric.name], truth
        )
        for method in methods
    }


def wer(speakers: int, rate: float, cv: float = 0.5) -> Callable[[np.random.Generator, int], dict[str, str]]:
    def run(rng: np.random.Generator, resamples: int) -> dict[str, str]:
        table = simulation.speech(rng, speakers, [rate], cv=cv)[0]
        return by_methods(table, simulation.reduce_wer, simulation.WER, rate, rng, resamples)

    return run


def eer(
    rate: float, bona_fide: int, spoof: int, speakers: int = 0, methods: Sequence[str] = METHODS
) -> Callable[[np.random.Generator, int], dict[str, str]]:
    def run(rng: np.random.Generator, resamples: int) -> dict[str, str]:
        table = simulation.trials(rng, rate, bona_fide=bona_fide, spoof=spoof, speakers=speakers)[0]
        return by_methods(table, simulation.reduce_eer, simulation.EER, rate, rng, resamples, methods)

    return run


def mos(utterances: int, raters: int) -> Callable[[np.random.Generator, int], dict[str, str]]:
    def run(rng: np.random.Generator, resamples: int) -> dict[str, str]:
        table, truth = simulation.ratings(rng, utterances, raters)
        return by_methods(table, simulation.reduce_mos, simulation.MOS, truth, rng, resamples)

    return run


def gaps(speakers: list[int], rates: list[float]) -> Callable[[np.random.Generator, int], dict[str, str]]:
    """Group gaps; "uncorrected" is the percentile interval of the resampled gap, as people take it."""
    true = np.array(rates)

    def run(rng: np.random.Generator, resamples: int) -> dict[str, str]:
        table, groups = simulation.grouped_speech(rng, speakers, rates)
        seed = int(rng.integers(1 << 31))
        found = compare_groups(
            table, groups, simulation.reduce_wer, simulation.WER, seed=seed, resamples=resamples, minimum=1
        )
        sums = np.stack([table.cluster_sums("errors"), table.cluster_sums("words")], axis=-1)
        parts = np.split(sums, np.cumsum(speakers)[:-1])
        resampled = np.stack([part[rng.integers(0, len(part), (resamples, len(part)))].sum(axis=1) for part in parts])
        drawn = np.ptp(resampled[..., 0] / resampled[..., 1], axis=0)
        naive = Interval(0.0, *np.quantile(drawn, [0.025, 0.975]).tolist(), "percentile", 0)
        return {
            "gap": outcome(found.gap, np.ptp(true)),
            "uncorrected gap": outcome(naive, np.ptp(true)),
            "ratio": outcome(found.ratio, true.max() / true.min()),
            "variance": outcome(found.variance, np.var(true, ddof=1)),
        }

    return run


def pair_tests(
    draw: Callable[[np.random.Generator], list[ScoreTable]], reduce: Reduce, metric: Metric
) -> Callable[[np.random.Generator, int], dict[str, str]]:
    """Paired tests where the truth is that both are equal; "two intervals" asks whether they overlap."""

    def run(rng: np.random.Generator, resamples: int) -> dict[str, str]:
        first, second = draw(rng)
        seed = int(rng.integers(1 << 31))
        settings = {"seed": seed, "resamples": resamples}
        t = compare_tables(first, second, reduce, metric, **settings).p
        permutation = permutation_test(first, second, reduce, metric, seed=seed, permutations=resamples)
        one, two = (intervals(table, reduce, [metric], **settings)[metric.name] for table in (first, second))
        apart = one.high < two.low or two.high < one.low
        said = {"paired t": t < 0.05, "permutation": permutation < 0.05, "two intervals": apart}
        return {name: "reject" if rejected else "keep" for name, rejected in said.items()}

    return run


def looks(sizes: Sequence[int]) -> Callable[[np.random.Generator, int], dict[str, str]]:
    """Whether any look's interval misses the truth: each at 95 %, and with the error spent over the looks."""

    def run(rng: np.random.Generator, resamples: int) -> dict[str, str]:
        whole = simulation.speech(rng, sizes[-1], [0.1])[0]
        missed = {"each look at 95 %": False, "spent": False}
        for look, size in enumerate(sizes, start=1):
            rows = whole.cluster < size
            counts = {name: column[rows] for name, column in whole.counts.items()}
            part = ScoreTable(counts, whole.cluster[rows], whole.stratum[rows], whole.cluster_strata[:size])
            for name, level in (("each look at 95 %", 0.95), ("spent", look_level(look))):
                found = intervals(
                    part, simulation.reduce_wer, [simulation.WER], seed=look, resamples=resamples, level=level,
                    method="t",
                )["wer"]  # fmt: skip
                missed[name] |= outcome(found, 0.1) != "in"
        return {name: "reject" if miss else "keep" for name, miss in missed.items()}

    return run


def ranks(models: int, speakers: int) -> Callable[[np.random.Generator, int], dict[str, str]]:
    """Whether any two of equally good models are told apart."""

    def run(rng: np.random.Generator, resamples: int) -> dict[str, str]:
        tables = simulation.speech(rng, speakers, [0.1] * models)
        named = {str(number): table for number, table in enumerate(tables)}
        found = rank_tables(named, simulation.reduce_wer, simulation.WER, seed=int(rng.integers(1 << 31)),
                            resamples=resamples)  # fmt: skip
        told = any(rank.high < models for rank in found)
        return {"rank ranges": "reject" if told else "keep"}

    return run


def wer_pair(speakers: int) -> Callable[[np.random.Generator], list[ScoreTable]]:
    return lambda rng: simulation.speech(rng, speakers, [0.1, 0.1])


def eer_pair(
    rate: float, bona_fide: int, spoof: int, speakers: int
) -> Callable[[np.random.Generator], list[ScoreTable]]:
    return lambda rng: simulation.trials(rng, rate, bona_fide=bona_fide, spoof=spoof, speakers=speakers, systems=2)


def interval_cells() -> list[Cell]:
    auto, found = ("auto",), []
    for speakers in (5, 10, 20, 50, 100, 200):
        for rate in (0.1, 0.03):
            name, quick = f"WER {rate:.0%}, {speakers} speakers", rate == 0.1 and speakers in (5, 20)
            found.append(Cell("Intervals", name, wer(speakers, rate), 1000, auto, quick=quick))
    found.append(Cell("Intervals", "WER 10%, 20 very unequal speakers", wer(20, 0.1, 0.8), 1000, auto))
    some = ("auto", "t", "percentile")
    for rate in (0.05, 0.2):
        for speakers, own in ((5, 40), (20, 20), (100, 10)):
            name = f"EER {rate:.0%}, {speakers} speakers of about {own} + {2 * own} trials"
            found.append(Cell("Intervals", name, eer(rate, own, 2 * own, speakers), 500, auto))
        name = f"EER {rate:.0%}, 400 + 800 trials, no clusters"
        found.append(Cell("Intervals", name, eer(rate, 400, 800, methods=some), 500, auto))
    name = "EER 1%, 20 speakers of about 60 + 120 trials"
    found.append(Cell("Intervals", name, eer(0.01, 60, 120, 20), 500, auto))
    name = "EER 1%, 1,200 + 2,400 trials, no clusters"
    found.append(Cell("Intervals", name, eer(0.01, 1200, 2400, methods=some), 300, auto))
    name, few = "EER 1%, 300 + 600 trials, no clusters", "under ten expected errors in a class"
    found.append(Cell("Intervals", name, eer(0.01, 300, 600, methods=some), 500, auto, note=few))
    for utterances, raters in ((5, 8), (20, 8), (100, 8), (400, 1)):
        name = f"MOS, {utterances} utterances, ratings each: {raters}"
        found.append(Cell("Intervals", name, mos(utterances, raters), 1000, auto, quick=utterances == 20))
    return found


def group_cells() -> list[Cell]:
    found = []
    for groups, speakers in ((4, 10), (4, 30), (8, 30), (2, 30), (6, 15)):
        for worse in (1.0, 1.5, 2.0):
            shape = "equal" if worse == 1 else f"one {worse} times worse"
            name = f"{groups} groups of {speakers} speakers, {shape}"
            run = gaps([speakers] * groups, [0.1 * worse] + [0.1] * (groups - 1))
            quick = (groups, speakers, worse) == (4, 10, 1.0)
            found.append(Cell("Group gaps", name, run, 800, GAPS, quick=quick, repeats=2 * REPEATS))
    for shape, rates in (
        ("equal", [0.1] * 5),
        ("the smallest 1.5 times worse", [0.15, 0.1, 0.1, 0.1, 0.1]),
        ("the largest twice as bad", [0.1, 0.1, 0.1, 0.1, 0.2]),
    ):
        run = gaps([8, 12, 20, 40, 60], rates)
        name = f"8, 12, 20, 40, 60 speakers, {shape}"
        found.append(Cell("Group gaps", name, run, 800, GAPS, repeats=2 * REPEATS))
    return found


def test_cells() -> list[Cell]:
    found = []
    for speakers in (5, 20, 200):
        run = pair_tests(wer_pair(speakers), simulation.reduce_wer, simulation.WER)
        judged = PAIRED[:1] if speakers == 5 else PAIRED
        found.append(Cell("Paired tests", f"WER, {speakers} speakers", run, 1000, judged, quick=speakers == 20))
    for rate, speakers, own in ((0.05, 20, 20), (0.2, 20, 20), (0.05, 100, 10), (0.2, 0, 300)):
        where = f"{speakers} speakers" if speakers else f"{own} + {2 * own} trials, no clusters"
        run = pair_tests(eer_pair(rate, own, 2 * own, speakers), simulation.reduce_eer, simulation.EER)
        found.append(Cell("Paired tests", f"EER {rate:.0%}, {where}", run, 300, PAIRED))
    for sizes in ((10, 20, 40, 80, 160), tuple(range(10, 101, 10))):
        name = f"{len(sizes)} looks, {sizes[0]}, {sizes[1]}, {sizes[2]} … {sizes[-1]} speakers"
        found.append(Cell("Looks and ranks", name, looks(sizes), 500, ()))
    found.append(Cell("Looks and ranks", "6 equal models, 40 speakers", ranks(6, 40), 1000, ()))
    return found


def cells() -> list[Cell]:
    return interval_cells() + group_cells() + test_cells()


def chunk(job: tuple[int, int, int, int]) -> tuple[int, int, dict[str, Counter[str]]]:
    """Some repeats of one cell: (cell, first repeat, repeats, resamples) → cell, repeats, outcomes by column."""
    index, first, count, resamples = job
    cell = cells()[index]
    counted: dict[str, Counter[str]] = {}
    for repeat in range(first, first + count):
        rng = np.random.default_rng([20_250, *cell.name.encode(), repeat])
        for column, result in cell.run(rng, resamples).items():
            counted.setdefault(column, Counter())[result] += 1
    return index, count, counted


def simulate(chosen: Sequence[int], repeats: int | None, processes: int) -> dict[int, dict[str, Counter[str]]]:
    every = cells()
    jobs = []
    for index in chosen:
        total = repeats or every[index].repeats
        resamples = 400 if repeats else every[index].resamples
        jobs += [(index, first, min(CHUNK, total - first), resamples) for first in range(0, total, CHUNK)]
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # read by the processes that start now
    found: dict[int, dict[str, Counter[str]]] = {index: {} for index in chosen}
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, (index, _, counted) in enumerate(pool.imap_unordered(chunk, jobs), start=1):
            for column, counts in counted.items():
                found[index].setdefault(column, Counter()).update(counts)
            print(f"\r{done} of {len(jobs)} parts", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return found


def share(counts: Counter[str]) -> float:
    """Percent covered, or rejected."""
    asked = "reject" if counts.keys() <= {"reject", "keep"} else "in"
    return 100 * counts[asked] / counts.total()


def inside(cell: Cell, counts: Counter[str]) -> bool:
    low, high = TEST_BAND if cell.section == "Paired tests" else BAND
    return low <= share(counts) <= high


def table(section: str, found: dict[int, dict[str, Counter[str]]]) -> str:
    every = cells()
    rows = [(every[index], results) for index, results in found.items() if every[index].section == section]
    columns = list(dict.fromkeys(column for _, results in rows for column in results))
    lines = [f"| {section} | " + " | ".join(columns) + " | repeats |", "|---" + "|--:" * (len(columns) + 1) + "|"]
    for cell, results in rows:
        shown = []
        for column in columns:
            text = "" if column not in results else f"{share(results[column]):.1f}"
            if column in cell.judged and not inside(cell, results[column]):
                text += " ✗"
            shown.append(text)
        repeats = next(iter(results.values())).total()
        note = f" ({cell.note})" if cell.note else ""
        lines.append(f"| {cell.name}{note} | " + " | ".join(shown) + f" | {repeats:,} |")
    return "\n".join(lines)


def write(page: Path, tables: dict[str, str]) -> None:
    """Put each section's table in the place of the one that the page has, or behind the others."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    printed, after = rest.split(END)
    shown = {text.split("|")[1].strip(): text for text in printed.strip().split("\n\n") if text} | tables
    page.write_text(before + "\n\n".join([BEGIN, *shown.values(), END]) + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few cells, fewer draws, under a minute")
    parser.add_argument("--only", default="", help="cells whose name holds this")
    parser.add_argument("--section", default="", help="cells of the table with this title")
    parser.add_argument("--repeats", type=int, help="repeats of each cell, with 400 resamples")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--write", type=Path, help="page to put the tables in, in the place of those with their titles")
    settings = parser.parse_args()
    every = cells()
    chosen = [
        i
        for i, cell in enumerate(every)
        if settings.only in cell.name and settings.section in cell.section and (cell.quick or not settings.quick)
    ]
    start = time.perf_counter()
    found = simulate(chosen, 400 if settings.quick else settings.repeats, settings.processes)
    sections = dict.fromkeys(every[index].section for index in chosen)
    tables = {section: table(section, found) for section in sections}
    print("\n\n".join(tables.values()), end="\n\n")
    if settings.write:
        write(settings.write, tables)
    judged = [
        inside(every[index], found[index][column])
        for index in chosen
        if not every[index].note
        for column in every[index].judged
    ]
    good = sum(judged)
    print(f"simulated in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    print(f"cells within their band (intervals 93 to 97 %, tests 3.5 to 6.5 %): {good} of {len(judged)}, "
          f"value {good / max(len(judged), 1):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
