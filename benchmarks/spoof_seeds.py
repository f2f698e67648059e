"""A spoof detector trained again from several seeds, beside the weights that are shipped: does its card hold?

Trains the detector (``audiometry train``) once a seed, each timed, and measures all of them and the shipped weights on
both protocols of `spoof-embedded` at E4. Prints each seed's macro equal error rate, their mean with its 95 % interval
(t distribution over seeds), and whether the shipped weights' interval holds what their seed 0 came to. The value is the
mean of the seeds over the shipped weights' rate on `unseen-attack`.

By default the control ``shortcut`` from one seed, since that is quick; ``--full`` takes ``whisper-encoder-head`` from
five. ``--detector`` and ``--seeds`` choose others, ``-s`` gives a setting of the card's recipe.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _runs import new_home
from _runs import run as run_models

UNSEEN = "spoof-embedded"
SEEN = "spoof-embedded:protocol=seen-attack"


def train(home: Path, detector: str, seed: int, file: Path, settings: list[str]) -> float:
    """Seconds that training took; the detector is in `file` then."""
    command = [
        sys.executable, "-m", "audiometry.benchmark.cli", "train", detector, "--seed", str(seed), "-o", str(file),
        *(word for setting in settings for word in ("-s", setting)),
    ]  # fmt: skip
    begin = time.perf_counter()
    done = subprocess.run(
        command, env=os.environ | {"AUDIOMETRY_HOME": str(home)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"training ended with {done.returncode}: {done.stderr.strip()}")
    return time.perf_counter() - begin


def rates(home: Path, model: str, task: str) -> dict[str, tuple[float, float, float]]:
    """Value, low and high of each metric of the whole."""
    found = run_models(home, model, task).results
    return {one["metric"]: (one["value"], one["low"], one["high"]) for one in found if one["slice"] == "all"}


def interval(values: list[float]) -> tuple[float, float]:
    """95 % interval of the mean over seeds, by the t distribution; of one value alone there is none."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return float("nan"), float("nan")
    half = stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def show(name: str, found: dict[str, tuple[float, float, float]]) -> None:
    value, low, high = (100 * number for number in found["eer_macro"])
    print(
        f"{name:34} macro {value:5.1f} % [{low:.1f}, {high:.1f}], worst {100 * found['eer_worst'][0]:.1f} %", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="whisper-encoder-head from five seeds")
    parser.add_argument("--detector", help="the detector")
    parser.add_argument("--seeds", type=int, help="how many seeds, from 0")
    parser.add_argument("-s", dest="recipe", action="append", default=[], metavar="NAME=VALUE", help="as of train")
    settings = parser.parse_args()
    detector = settings.detector or ("whisper-encoder-head" if settings.full else "shortcut")
    seeds = range(settings.seeds or (5 if settings.full else 1))
    means = {}
    with new_home() as home:
        files = {seed: home / f"seed{seed}.safetensors" for seed in seeds}
        for seed, file in files.items():
            print(f"seed {seed}: trained in {train(home, detector, seed, file, settings.recipe):.0f} s", flush=True)
        for task in (SEEN, UNSEEN):
            print(task)
            shipped = rates(home, detector, task)
            show("shipped", shipped)
            values = []
            for seed, file in files.items():
                found = rates(home, f"{detector}:path={file}", task)
                show(f"seed {seed}", found)
                values.append(found["eer_macro"][0])
            low, high = interval(values)
            print(f"mean of {len(values)} seeds: {100 * np.mean(values):.1f} % [{100 * low:.1f}, {100 * high:.1f}]")
            _, least, most = shipped["eer_macro"]
            print(f"seed 0 is {'inside' if least <= values[0] <= most else 'OUTSIDE'} the shipped weights' interval")
            means[task] = (float(np.mean(values)), shipped["eer_macro"][0])
    again, card = means[UNSEEN]
    print(f"{detector} on {UNSEEN}: {len(seeds)} seeds {100 * again:.1f} %, shipped {100 * card:.1f} %, "
          f"value {again / card:.3f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
