"""Ray Data beside a pool of Ray actors on the same work: why the engine hands out batches itself.

The work: Whisper tiny.en on real telephone clips, and 20,000 questions to a model that answers at once. Ray Data maps
batches over a pool of two actors, as its users do; ours is the pool of `audiometry.benchmark.pool`'s actors, driven as
plainly (two parcels in flight each). Neither keeps anything. Ray's own start is apart, actors' starts are not. By
default 24 clips; ``--full`` takes 200.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Any

import ray
from _runs import INSTANT

from audiometry.benchmark.plan import Batch, RunSettings, make_plan
from audiometry.benchmark.registry import load_plugin_file, parse_spec
from audiometry.benchmark.windows import windows
from audiometry.benchmark.worker import Evaluator

WORKERS = 2


def batches(task: str, limit: int | None, size: int) -> tuple[list[Batch], list[Any]]:
    """The batches of a task, and its spec."""
    plan = make_plan(RunSettings(models=("instant",), tasks=(task,), limit=limit))
    items = [item for window in windows(plan, 0, 0) for item in window]
    parts = [Batch(0, tuple(items[at : at + size])) for at in range(0, len(items), size)]
    return parts, [planned.spec for planned in plan.tasks]


class Mapper:
    """What Ray Data calls: an evaluator for batches of batches."""

    def __init__(self, model: str, tasks: Sequence[Any]) -> None:
        self._evaluator = Evaluator(parse_spec(model), None, tasks, plugins=[str(INSTANT)])
        self._evaluator.load()

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Answer the batches of some rows."""
        answered, _ = self._evaluator.evaluate(list(rows["batch"]))
        return {"text": [str(row.output["text"]) for row in answered]}


def by_data(model: str, parts: list[Batch], tasks: list[Any], rows: int) -> tuple[float, int]:
    """Seconds and answers of Ray Data."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    start = time.perf_counter()
    listed = ray.data.from_items([{"batch": part} for part in parts], override_num_blocks=max(2, len(parts) // rows))
    mapped = listed.map_batches(
        Mapper, fn_constructor_args=(model, tasks), batch_size=rows, batch_format="numpy", num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=WORKERS),
    )  # fmt: skip
    count = sum(1 for _ in mapped.iter_rows())
    return time.perf_counter() - start, count


def by_actors(model: str, parts: list[Batch], tasks: list[Any], rows: int) -> tuple[float, int]:
    """Seconds and answers of a pool of actors."""
    actor = ray.remote(Evaluator)
    start = time.perf_counter()
    workers = [
        actor.options(num_cpus=1, max_concurrency=2).remote(parse_spec(model), None, tasks, plugins=[str(INSTANT)])
        for _ in range(WORKERS)
    ]
    ray.get([worker.load.remote() for worker in workers])
    left = iter(parts)
    held = {worker.evaluate.remote(part): worker for worker in workers * 2 if (part := list(islice(left, rows)))}
    count = 0
    while held:
        (ready, *_), _ = ray.wait(list(held))
        worker = held.pop(ready)
        count += len(ray.get(ready)[0])
        if part := list(islice(left, rows)):
            held[worker.evaluate.remote(part)] = worker
    spent = time.perf_counter() - start
    for worker in workers:
        ray.kill(worker)
    return spent, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="200 clips")
    settings = parser.parse_args()
    load_plugin_file(INSTANT)
    clips = 200 if settings.full else 24
    with TemporaryDirectory() as empty:
        ray.init(
            num_cpus=WORKERS, runtime_env={"working_dir": empty}, log_to_driver=False, include_dashboard=False,
            logging_level=logging.ERROR, configure_logging=False,
        )  # fmt: skip
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        works = {
            f"whisper, {clips} clips": ("whisper", *batches("wer-asterisk-en-telephone", clips, 4), 1),
            "instant, 20,000 items": ("instant", *batches("repeated:count=20000", None, 8), 16),
        }
        ratio = 0.0
        for name, (model, parts, tasks, rows) in works.items():
            data, first = by_data(model, parts, tasks, rows)
            actors, second = by_actors(model, parts, tasks, rows)
            assert first == second
            ratio = ratio or data / actors
            print(f"{name}: Ray Data {data:.2f} s, actors {actors:.2f} s, ratio {data / actors:.2f}")
        ray.shutdown()
    print(f"the same clips of whisper by Ray Data and by a pool of actors, ratio {ratio:.2f}")


if __name__ == "__main__":
    sys.exit(main())
