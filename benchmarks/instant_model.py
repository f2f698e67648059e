"""What the harness itself can do: samples a second of a model that answers at once without touching the sound.

Each sample is a real English prompt with its transcript (over and over, under new ids). It is planned, travels to
Ray's workers, is scored as word error rate with Whisper's normaliser, journalled, kept in the cache, written as
Parquet, reduced with intervals over every slice, and stored. Start-up (Ray, worker processes) is told apart. Beside it
the bound: a loop in this process that only scores. ``--full`` takes a million samples.
"""

from __future__ import annotations

import argparse
import sys
import time

from _runs import INSTANT, new_home, run

from audiometry.benchmark.registry import TASKS, load_plugin_file, parse_spec
from audiometry.benchmark.types import Output

SCORED = 10_000


def scored_per_second() -> float:
    """Samples a second of a loop that lists samples and scores an answer to each."""
    load_plugin_file(INSTANT)
    task = TASKS.create(parse_spec(f"repeated:count={SCORED}"))
    answer = Output(text="please leave a message after the tone")
    start = time.perf_counter()
    for sample in task.samples():
        task.score(sample, answer)
    return SCORED / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--full", action="store_true", help="a million samples")
    settings = parser.parse_args()
    count = 1_000_000 if settings.full else settings.samples
    bound = scored_per_second()
    print(f"a loop that only scores, one core: {bound:,.0f} samples/s")
    with new_home() as home:
        done = run(home, "instant", f"repeated:count={count}")
        size = sum(file.stat().st_size for part in ("run-0", "cache") for file in (home / part).rglob("*"))
    rate = count / (done.seconds - done.apart)
    used = done.document["models"][0]["utilisation"]
    print(f"{count:,} samples in {done.seconds:.1f} s, of which {done.apart:.1f} s start-up; word error rate "
          f"{done.value:.3f}; driver's peak {done.peak / 2**20:.0f} MiB; {size / count:.0f} bytes a sample on "
          "disk")  # fmt: skip
    print(f"workers: {used}")
    print(f"{count:,} samples of an instant model end to end {rate:,.0f} samples/s, a loop that only scores "
          f"{bound:,.0f} samples/s, value {rate:.0f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
