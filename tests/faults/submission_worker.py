"""A worker process of the fault tests: the real queue and loop, and in place of a suite a made-up run of a moment."""

import random
import sys
import threading
import time
from pathlib import Path

from audiometry.benchmark import paths
from audiometry.benchmark.store import Store
from audiometry.benchmark.types import Result
from audiometry.leaderboard.submissions.attempt import Done
from audiometry.leaderboard.submissions.patience import patiently
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.leaderboard.submissions.worker import Worker


def made_up(submission, folder, tell):
    """A run of this attempt alone; it takes a moment, so that kills and restarts strike in the middle."""
    del folder
    for step in range(1, 6):
        time.sleep(random.uniform(0.0, 0.1))
        tell(step / 5, 0.1 * (5 - step))
    run_id = f"{submission.id}-{random.randbytes(3).hex()}"
    place = paths.runs_folder() / run_id
    place.mkdir(parents=True)
    (place / "run.json").write_text("{}")
    model = {"name": submission.name, "spec": "mine", "fingerprint": "f", "control": False, "settings": {}}
    task = {"name": "echo", "version": "1", "settings": {}, "samples": 2, "digest": "d"}
    document = {
        "id": run_id, "fingerprint": "f", "created": "2026-11-22T15:55:01+00:00", "finished": None,
        "status": "complete", "seed": 0, "limit": None, "models": [model], "tasks": [task], "timings": [],
    }  # fmt: skip
    return Done(document, [Result("f", submission.name, "echo", "1", "wrong", "all", 0.5, 0.0, 1.0, 2)], place)


def main(url: str, stop_file: str) -> None:
    """Work until `stop_file` is there."""
    stop = threading.Event()

    def watch() -> None:
        while not Path(stop_file).exists():
            time.sleep(0.1)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    with patiently(lambda: Store.open(url)) as store:
        worker = Worker(Queue(store), made_up, lease_seconds=2.0, poll_seconds=0.1, stop=stop)
        print("ready", flush=True)
        print(worker.work(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
