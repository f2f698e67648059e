"""Memory of the driver: its peak over a large run beside that over a small one, of the instant model.

By default 20,000 and 200,000 samples; ``--full`` 50,000 and a million. The value is the large run's peak over the small
one's. The bound is 1: a run of no size. What grows is told in bytes a sample.
"""

from __future__ import annotations

import argparse
import sys

from _runs import new_home, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="50,000 and 1,000,000 samples")
    settings = parser.parse_args()
    sizes = (50_000, 1_000_000) if settings.full else (20_000, 200_000)
    peaks = []
    for count in sizes:
        with new_home() as home:
            done = run(home, "instant", f"repeated:count={count}")
        peaks.append(done.peak)
        print(f"{count:,} samples: driver's peak {done.peak / 2**20:.0f} MiB, {done.seconds:.0f} s")
    print(f"{(peaks[1] - peaks[0]) / (sizes[1] - sizes[0]):.0f} bytes a sample")
    print(f"driver's peak at {sizes[1]:,} samples {peaks[1] / 2**20:.0f} MiB, at {sizes[0]:,} "
          f"{peaks[0] / 2**20:.0f} MiB, value {peaks[1] / peaks[0]:.2f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
