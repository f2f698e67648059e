"""What is still to be asked of one model. What was answered before, in this run or an earlier one, is served."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.cache import Cache, known_digests, request_key
from audiometry.benchmark.errors import AudioError
from audiometry.benchmark.plan import Batch, Item, Plan
from audiometry.benchmark.rows import Row, make_row, restored_output
from audiometry.benchmark.windows import windows
from audiometry.benchmark.worker import ModelFacts

__all__ = ["Done", "Memory", "Pending"]

Emit = Callable[[list[tuple[Item, Row]]], None]


class Memory(Protocol):
    """What a pool tells of its model and of fresh answers."""

    def learn(self, facts: ModelFacts) -> None:
        """Take the model's fingerprint; must come before the first batch is asked for."""
        ...

    def keep(self, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Put fresh answers into the cache."""
        ...


class Done:
    """Which samples of each (model, task) have been answered: a bit each."""

    def __init__(self, plan: Plan) -> None:
        self._marks: Mapping[tuple[int, int], NDArray[np.bool_]] = {
            (m, t): np.zeros(plan.tasks[t].size, dtype=np.bool_) for m, t in plan.pairs
        }

    def has(self, model: int, task: int, position: int) -> bool:
        """Whether the sample was answered."""
        return bool(self._marks[model, task][position])

    def mark(self, model: int, task: int, position: int) -> bool:
        """Mark the sample as answered; False if it was already."""
        marks = self._marks[model, task]
        if marks[position]:
            return False
        marks[position] = True
        return True

    def count(self, model: int, task: int) -> int:
        """How many samples were answered."""
        return int(self._marks[model, task].sum())


class Pending:
    """Batches that one model has still to answer. Answers found in the cache go to `emit` on the way."""

    def __init__(
        self,
        plan: Plan,
        model: int,
        tasks: Sequence[int],
        *,
        done: Done,
        cache: Cache | None,
        artefacts: str,
        emit: Emit,
    ) -> None:
        self._plan, self._model, self._tasks, self._done = plan, model, tasks, done
        entry = plan.models[model].entry
        self._cache = cache if entry.given is None else None
        self._artefacts, self._emit = artefacts, emit
        self._facts = ModelFacts()
        self._keys: dict[tuple[int, int], str] = {}  # of the samples that are being asked

    def learn(self, facts: ModelFacts) -> None:
        """Take the model's fingerprint; must come before the first batch is asked for."""
        self._facts = facts

    def batches(self) -> Iterator[Batch]:
        """Batches of samples without an answer, from the plan's windows."""
        chosen = self._plan.settings.batch_size
        size = 1 if chosen == "auto" else chosen  # the worker puts them together
        for task in self._tasks:
            for window in windows(self._plan, self._model, task):
                items = [item for item in window if not self._done.has(self._model, task, item.position)]
                items = self._serve(task, items)
                for start in range(0, len(items), size):
                    yield Batch(task, tuple(items[start : start + size]))

    def keep(self, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Put fresh answers into the cache. Failures are not kept."""
        if self._cache is None or not self._facts.fingerprint:
            return
        self._cache.remember([pair for _, row in pairs for pair in row.digests.items()])
        answers = []
        now = round(time.time(), 3)
        for item, row in pairs:
            if row.status in ("error", "timeout") or row.cached or not self._cacheable(row.task):
                continue
            key = self._keys.pop((row.task, row.position), None) or self._key(self._cache, item, row.digests)
            if key is not None:
                answers.append((key, {"status": row.status, "output": dict(row.output), "made": now}))
        self._cache.keep(answers)

    def _serve(self, task: int, items: list[Item]) -> list[Item]:
        """Emit the answers that are kept; return the items without one."""
        if self._cache is None or not self._facts.fingerprint or not self._cacheable(task):
            return items
        keys = {item.position: key for item in items if (key := self._key(self._cache, item, {})) is not None}
        found = self._cache.find(list(keys.values()))
        served: list[tuple[Item, Row]] = []
        missing: list[Item] = []
        for item in items:
            answer = found.get(keys.get(item.position, ""))
            row = None if answer is None else self._rescore(task, item, answer)
            if row is None:
                missing.append(item)
                if item.position in keys:
                    self._keys[task, item.position] = keys[item.position]
            else:
                served.append((item, row))
        self._cache.touch(keys[item.position] for item, _ in served)
        if served:
            self._emit(served)
        return missing

    def _rescore(self, index: int, item: Item, answer: Mapping[str, Any]) -> Row | None:
        try:
            output = restored_output(answer["status"], answer["output"], self._artefacts)
        except (AudioError, OSError):  # sound that was pruned: it is asked for again
            return None
        row = make_row(index, self._plan.tasks[index].task, item, output, self._artefacts, answer["output"])
        return replace(row, cached=True, made=answer.get("made"))

    def _cacheable(self, task: int) -> bool:
        return not self._plan.tasks[task].task.exclusive

    def _key(self, cache: Cache, item: Item, fresh: Mapping[str, str]) -> str | None:
        """The cache key, or None where a file's digest is not known yet. `fresh` holds digests by path."""
        request = item.sample.request
        if fresh:
            audios = {
                role: one if one.digest else replace(one, digest=fresh.get(one.path))
                for role, one in request.audios.items()
            }
            request = replace(request, audios=audios)
        digests = known_digests(request, cache)
        if digests is None:
            return None
        return request_key(self._facts.fingerprint, request, digests, seeded=not self._facts.deterministic)
