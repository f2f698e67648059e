"""Two workers of one thread each beside one such worker, on Whisper tiny.en: how much of the second core is used.

Both count from the first model being loaded until its last answer. The value is the ratio of clips a second; 2 is the
bound on two cores. By default 40 clips; ``--full`` takes 500.
"""

from __future__ import annotations

import argparse
import sys

from _runs import Run, new_home, run

TASK = "wer-asterisk-en-telephone"


def asked(done: Run) -> float:
    """Seconds from the first model being loaded until everything is answered."""
    return float(done.document["asked_seconds"]) - float(done.document["models"][0]["utilisation"]["start_seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="500 clips")
    settings = parser.parse_args()
    clips = 500 if settings.full else 40
    seconds = []
    for workers in (1, 2):
        with new_home() as home:
            more = ("--limit", str(clips), "--workers", str(workers), "--cpus", "1", "--batch-size", "2")
            done = run(home, "whisper", TASK, *more)
        seconds.append(asked(done))
        print(f"{workers} workers of one thread: {seconds[-1]:.1f} s; {done.document['models'][0]['utilisation']}")
    print(f"{clips} clips: one worker {clips / seconds[0]:.2f} clips/s, two {clips / seconds[1]:.2f} clips/s, "
          f"value {seconds[0] / seconds[1]:.2f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
