"""How often the regression gate fails and passes: no change, a loss of the size that it says it can see, 10 % relative.

The errors are real: recognisers on 500 English prompts (`audiometry run`, served by the cache where it has been run
before). A simulated pair draws 500 prompts with replacement and gives each prompt's two answers to baseline and
candidate at random: neither is better, and errors move both ways as they do between the two. A loss is put on top, in
pieces as large as the changes seen between the two ("pieces") or in single words, on prompts in proportion to their
words. "Only added" gives both the first recogniser's answers, and a loss on top. Verdicts are the gate's own (`judge`):
with one check (the whole task), and with the default gate's checks, the whole and every slice of 20 prompts.

Run: python benchmarks/gate.py [--full], with AUDIOMETRY_HOME where asterisk-en is prepared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from audiometry.benchmark.gate import Check, judge
from audiometry.benchmark.gate_config import DEFAULT
from audiometry.benchmark.gate_plan import Planned
from audiometry.benchmark.gate_statistics import measure_losses
from audiometry.benchmark.stats import ratio_of_sums
from audiometry.benchmark.types import FloatArray, Metric, ScoreTable

WER = Metric("wer", scale="log", events="errors")
CLIPS = 500
BASELINE = "whisper"
WHOLE, SLICES = DEFAULT.rules
LEAST = 20
LOST_SLICE = "03-10 s"


@dataclass(frozen=True)
class Pair:
    """Errors of two recognisers on the same prompts, the prompts' words and slices."""

    name: str
    first: FloatArray
    second: FloatArray
    words: FloatArray
    slices: tuple[str, ...]

    @property
    def rate(self) -> float:
        """The mean word error rate of the two."""
        return float((self.first + self.second).sum() / 2 / self.words.sum())


@dataclass(frozen=True)
class Scenario:
    """What is simulated: the size of the loss, how it comes, on which slice, and how many checks there are."""

    title: str
    loss: float = 0.0
    both_ways: bool = True
    pieces: bool = True
    slice: str = ""
    whole_only: bool = True


def reduce(table: ScoreTable, weights: FloatArray) -> dict[str, FloatArray]:
    return {"wer": ratio_of_sums(table, weights, "errors", "words")}


def table_of(errors: FloatArray, words: FloatArray) -> ScoreTable:
    zeros = np.zeros(len(errors), np.int64)
    return ScoreTable({"errors": errors, "words": words}, np.arange(len(errors)), zeros, zeros)


def lost(rng: np.random.Generator, pair: Pair, words: FloatArray, inside: FloatArray, scenario: Scenario) -> FloatArray:
    """Further errors of each prompt, `loss` of the words in `inside` on average."""
    share = words * inside / (words * inside).sum()
    expected = scenario.loss * float((words * inside).sum())
    if not scenario.pieces:
        return rng.binomial((words * inside).astype(np.int64), min(scenario.loss, 1.0)).astype(np.float64)
    sizes = np.abs(pair.second - pair.first)
    sizes = sizes[sizes > 0]
    drawn = rng.choice(sizes, rng.poisson(expected / sizes.mean()))
    return np.bincount(rng.choice(len(words), len(drawn), p=share), weights=drawn, minlength=len(words))


def simulate(pair: Pair, scenario: Scenario, seed: int) -> list[Check]:
    """The gate's checks on one simulated pair of runs."""
    rng = np.random.default_rng([seed, 11])
    picked = rng.integers(0, len(pair.words), CLIPS)
    words = pair.words[picked]
    labels = np.array(pair.slices)[picked]
    other = pair.second[picked] if scenario.both_ways else pair.first[picked]
    swap = rng.random(CLIPS) < 0.5
    baseline = np.where(swap, other, pair.first[picked])
    candidate = np.where(swap, pair.first[picked], other)
    inside = np.ones(CLIPS) if not scenario.slice else (labels == scenario.slice) * 1.0
    if scenario.loss:
        candidate = candidate + lost(rng, pair, words, inside, scenario)
    chosen = {"all": np.ones(CLIPS, dtype=bool)}
    if not scenario.whole_only:
        chosen |= {one: labels == one for one in sorted(set(pair.slices)) if (labels == one).sum() >= LEAST}
    planned = []
    for name, rows in chosen.items():
        tables = table_of(baseline[rows], words[rows]), table_of(candidate[rows], words[rows])
        loss = measure_losses(*tables, reduce, [WER], seed=seed)["wer"]
        rule = WHOLE if name == "all" else SLICES
        planned.append(Planned("wer", WER, name, rule, int(rows.sum()), loss=loss))
    return judge(planned, DEFAULT.alpha)


def shares(pair: Pair, scenario: Scenario, seeds: range) -> list[tuple[float, ...]]:
    """Of each seed: the gate fails, passes; the named check fails; the loss stated for it, and for `LOST_SLICE`."""
    rows = []
    for seed in seeds:
        checks = {check.slice: check for check in simulate(pair, scenario, seed)}
        verdicts = {check.verdict for check in checks.values()}
        named = checks[scenario.slice or "all"]
        stated = [checks[name].detectable if name in checks else None for name in (named.slice, LOST_SLICE)]
        rows.append(
            (
                float("regression" in verdicts), float(verdicts == {"pass"}), float(named.verdict == "regression"),
                *(float("nan") if one is None else one for one in stated),
            )
        )  # fmt: skip
    return rows


def measured(pool: ProcessPoolExecutor, pair: Pair, scenario: Scenario, repeats: int) -> FloatArray:
    """Means of `shares`, printed."""
    parts = [range(start, repeats, 16) for start in range(16)]
    found = np.array([row for part in pool.map(partial(shares, pair, scenario), parts) for row in part])
    mean = [float(column[np.isfinite(column)].mean()) if np.isfinite(column).any() else np.nan for column in found.T]
    print(
        f"{pair.name:16} {scenario.title:52} {100 * scenario.loss:6.2f} {100 * mean[0]:6.1f} {100 * mean[1]:6.1f} "
        f"{100 * (1 - mean[0] - mean[1]):6.1f} {100 * mean[2]:6.1f} {100 * mean[3]:8.2f}",
        flush=True,
    )
    return np.asarray(mean)


def study(pool: ProcessPoolExecutor, pair: Pair, repeats: int) -> dict[str, FloatArray]:
    """Every scenario of one pair."""

    def go(title: str, **settings: object) -> FloatArray:
        return measured(pool, pair, Scenario(title, **settings), repeats)  # type: ignore[arg-type]

    tenth = 0.1 * pair.rate
    found = {
        "none": go("no change, one check"),
        "none, slices": go("no change, whole and slices", whole_only=False),
    }
    whole, under_slices = float(found["none"][3]), float(found["none, slices"][3])
    of_slice = float(found["none, slices"][4])
    found |= {
        "stated": go("the stated loss, one check", loss=whole),
        "stated, words": go("the stated loss in single words, one check", loss=whole, pieces=False),
        "stated, slices": go("the stated loss, whole and slices", loss=under_slices, whole_only=False),
        "stated in a slice": go(f"a slice's stated loss in {LOST_SLICE}", loss=of_slice, slice=LOST_SLICE,
                                whole_only=False),
        "tenth": go("10 % relative, one check", loss=tenth),
        "tenth, slices": go("10 % relative, whole and slices", loss=tenth, whole_only=False),
        "added": go("10 % relative, only added, one check", loss=0.1 * float(pair.first.sum() / pair.words.sum()),
                    both_ways=False),
        "added, slices": go("10 % relative, only added, whole and slices", both_ways=False, whole_only=False,
                            loss=0.1 * float(pair.first.sum() / pair.words.sum())),
    }  # fmt: skip
    return found


def recognised(models: Sequence[str]) -> Mapping[str, pd.DataFrame]:
    """Scores of each model on the same prompts."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        command = [sys.executable, "-m", "audiometry.benchmark.cli", "run", "--quiet", "--json"]
        for model in models:
            command += ["-m", model]
        done = subprocess.run(
            [*command, "-t", "wer-asterisk-en", "--limit", str(CLIPS), "-o", str(folder)],
            env=os.environ | {"AUDIOMETRY_STORE": f"sqlite:///{scratch}/store.db"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"the run ended with {done.returncode}: {done.stderr.strip()}")
        scores = pd.read_parquet(folder / "scores.parquet")
    return {model: scores[scores["model"] == model].sort_values("sample_id") for model in models}


def paired(name: str, first: pd.DataFrame, second: pd.DataFrame) -> Pair:
    """Two recognisers on the same prompts."""
    columns = (first["count.errors"], second["count.errors"], first["count.reference"])
    return Pair(name, *(column.to_numpy(np.float64) for column in columns), tuple(first["slice.duration"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--full", action="store_true", help="a second pair: a far weaker recogniser as the candidate")
    parser.add_argument("--processes", type=int, default=2)
    settings = parser.parse_args()
    others = ["whisper:beam=5", *(["pocketsphinx"] if settings.full else [])]
    scores = recognised([BASELINE, *others])
    first = scores[BASELINE]
    print(f"{settings.repeats} simulated pairs of {CLIPS} prompts a line; in percent\n")
    heads = ("loss", "fails", "passes", "undec.", "check", "stated")
    print(f"{'candidate':16} {'loss put on top':52} " + " ".join(f"{head:>6}" for head in heads))
    with ProcessPoolExecutor(settings.processes) as pool:
        studies = [study(pool, paired(other, first, scores[other]), settings.repeats) for other in others]
    cells = [found[name] for found in studies for name in ("none", "none, slices")]
    fails, passes = max(cell[0] for cell in cells), min(cell[1] for cell in cells)
    found = min(found[name][2] for found in studies for name in found if name.startswith("stated"))
    print(
        f"gate on {settings.repeats} simulated pairs: no change fails at most {fails:.3f} (bound 0.05), passes at "
        f"least {passes:.3f} (bound 0.80); its stated loss is found at least {found:.3f} of the time, value {found:.3f}"
    )


if __name__ == "__main__":
    main()
