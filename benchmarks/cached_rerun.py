"""A run of what was run before: everything comes from the cache, and Ray is not started.

Whisper tiny.en on real clips, twice with other workers and batches. The value is how often the second run fits into the
first, from process start to process end. By default 80 telephone clips; ``--full`` takes 500.
"""

from __future__ import annotations

import argparse
import sys

from _runs import new_home, run

TASK = "wer-asterisk-en-telephone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="500 clips")
    settings = parser.parse_args()
    clips = "500" if settings.full else "80"
    with new_home() as home:
        first = run(home, "whisper", TASK, "--limit", clips, "--workers", "2", "--batch-size", "4")
        again = run(home, "whisper", TASK, "--limit", clips, "--workers", "1", "--batch-size", "16")
    cached = sum(line["cached"] for line in again.document["timings"])
    assert cached == int(clips), cached
    assert first.results == again.results
    assert again.document["cluster"] == {}, "Ray was started"
    print(f"{clips} clips: first {first.seconds:.1f} s, again {again.seconds:.2f} s, the same numbers, Ray not started")
    print(f"{clips} clips of whisper: first run {first.seconds:.2f} s, cached {again.seconds:.2f} s, "
          f"value {first.seconds / again.seconds:.1f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
