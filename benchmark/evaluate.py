"""One evaluation from end to end: plan, run, journal, reduce, run folder, store."""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiometry.benchmark import paths
from audiometry.benchmark.environment import hardware, versions
from audiometry.benchmark.errors import RunInterruptedError
from audiometry.benchmark.journal import Journal
from audiometry.benchmark.plan import Plan, RunSettings, make_plan
from audiometry.benchmark.progress import Progress
from audiometry.benchmark.results import reduce_rows
from audiometry.benchmark.runfolder import RunFolder
from audiometry.benchmark.runner import Outcome, run_plan
from audiometry.benchmark.types import Result
from audiometry.benchmark.worker import ModelFacts, Row

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave: its results, its folder, and what went wrong, if anything."""

    status: str
    results: tuple[Result, ...]
    folder: Path
    problems: tuple[str, ...] = ()


class _Collector:
    """Keeps rows for the reduction, and passes them to the journal and the progress display."""

    def __init__(self, journal: Journal, progress: Progress) -> None:
        self.collected: list[tuple[int, Row]] = []
        self._journal, self._progress = journal, progress

    def rows(self, model: int, rows: list[Row]) -> None:
        self._journal.append(model, rows)
        self.collected.extend((model, row) for row in rows)
        self._progress.rows(model, rows)


def evaluate(
    settings: RunSettings,
    *,
    output: Path | None = None,
    store: str | None = None,
    command: Sequence[str] = (),
    quiet: bool = False,
) -> Evaluation:
    """Run models on tasks, and leave a run folder and rows in the store.

    `output` is the run folder (default: a new one under the home folder); `store` is the database's URL. A partial
    run (stopped by Ctrl-C) leaves a readable folder and nothing in the store.

    Raises a UserError for bad input before any model is loaded, and RunInterruptedError after a partial run is
    written.
    """
    from audiometry.benchmark.store import Store, check_writable

    plan = make_plan(settings)
    url = store or paths.store_url()
    check_writable(url)
    created = datetime.now(UTC)
    run_id = f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder = RunFolder.create(output or paths.runs_folder() / run_id)
    journal = Journal(folder.journal)
    interrupted: RunInterruptedError | None = None
    outcome = Outcome()
    with Progress(plan, quiet=quiet) as progress:
        collector = _Collector(journal, progress)
        try:
            outcome = run_plan(plan, collector, artefacts=str(folder.artefacts))
        except RunInterruptedError as error:
            interrupted = error
        finally:
            journal.close()
    rows = collector.collected
    fingerprint = _fingerprint(plan, outcome.facts)
    results = _reduce(plan, rows, fingerprint, partial=interrupted is not None)
    problems = _problems(plan, rows, settings.max_failures)
    status = "partial" if interrupted else ("too many failures" if problems else "complete")
    document = _run_document(plan, outcome, rows, command) | {
        "id": run_id, "fingerprint": fingerprint, "created": created.isoformat(timespec="seconds"),
        "finished": None if interrupted else datetime.now(UTC).isoformat(timespec="seconds"), "status": status,
    }  # fmt: skip
    folder.write_evidence(plan, rows)
    folder.write_results(fingerprint, results)
    folder.write_json("run.json", document)
    folder.journal.unlink()
    if interrupted is not None:
        raise RunInterruptedError(
            f"{interrupted}; {len(rows)} samples are in {folder.path} (status partial, not stored)"
        ) from interrupted
    if not problems:
        Store.open(url).add_run(document, results, str(folder.path.absolute()))
    return Evaluation(status, tuple(results), folder.path, tuple(problems))


def _reduce(plan: Plan, rows: Sequence[tuple[int, Row]], fingerprint: str, *, partial: bool) -> list[Result]:
    results = []
    for m, t in plan.pairs:
        mine = [row for model, row in rows if model == m and row.task == t]
        if not mine:
            continue
        results += reduce_rows(
            fingerprint, plan.models[m], plan.tasks[t], mine,
            seed=plan.settings.seed, resamples=plan.settings.resamples, partial=partial,
        )  # fmt: skip
    return results


def _problems(plan: Plan, rows: Sequence[tuple[int, Row]], limit: float) -> list[str]:
    """What makes this run no result: more failures than allowed."""
    problems = []
    for m, t in plan.pairs:
        mine = [row for model, row in rows if model == m and row.task == t]
        failed = [row for row in mine if row.status in ("error", "timeout")]
        if failed and len(failed) > limit * len(mine):
            problems.append(
                f"{plan.models[m].label} on {plan.tasks[t].task.name}: {len(failed)} of {len(mine)} samples failed, "
                f"more than --max-failures {limit:g} allows; the first: {failed[0].output.get('error')}"
            )
    return problems


def _fingerprint(plan: Plan, facts: Mapping[int, ModelFacts]) -> str:
    """A hash of what was measured on what: equal for a run that repeats this one."""
    text = {
        "models": [[m.label, facts[i].fingerprint if i in facts else None] for i, m in enumerate(plan.models)],
        "tasks": [task.digest for task in plan.tasks],
        "seed": plan.settings.seed,
        "limit": plan.settings.limit,
        "resamples": plan.settings.resamples,
    }
    return hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()


def _run_document(
    plan: Plan, outcome: Outcome, rows: Sequence[tuple[int, Row]], command: Sequence[str]
) -> dict[str, Any]:
    models = []
    for index, model in enumerate(plan.models):
        facts = outcome.facts.get(index, ModelFacts())
        models.append(
            {
                "name": model.label, "spec": str(model.spec), "fingerprint": facts.fingerprint,
                "control": model.entry.control, "settings": dict(model.spec.settings),
                "deterministic": facts.deterministic, "load_seconds": round(facts.seconds, 3),
                "resources": asdict(model.resources),
            }
        )  # fmt: skip
    tasks = [
        {
            "name": planned.task.name, "spec": str(planned.spec), "version": planned.task.version,
            "settings": dict(planned.task.settings), "notes": list(planned.task.notes),
            "metrics": [asdict(metric) | {"high": None} for metric in planned.task.metrics],
            "samples": len(planned.samples), "digest": planned.digest,
        }
        for planned in plan.tasks
    ]  # fmt: skip
    return {
        "command": list(command) or sys.argv,
        "seed": plan.settings.seed,
        "limit": plan.settings.limit,
        "settings": asdict(plan.settings),
        "models": models,
        "tasks": tasks,
        "timings": _timings(plan, rows),
        "start_seconds": round(outcome.start_seconds, 3),
        "cluster": {name: value for name, value in outcome.ray.items() if name in ("CPU", "GPU", "memory")},
        "versions": versions(),
        "hardware": hardware(),
    }


def _timings(plan: Plan, rows: Sequence[tuple[int, Row]]) -> list[dict[str, Any]]:
    """Seconds that each model spent, seconds of sound it heard, and their ratio (RTFx)."""
    timings = []
    for m, t in plan.pairs:
        mine = [row for model, row in rows if model == m and row.task == t]
        seconds = sum(row.output.get("total_seconds") or 0.0 for row in mine)
        samples = plan.tasks[t].samples
        heard = sum(a.seconds or 0.0 for row in mine for a in samples[row.position].request.audios.values())
        timings.append(
            {
                "model": plan.models[m].label, "task": plan.tasks[t].task.name, "seconds": round(seconds, 3),
                "audio_seconds": round(heard, 3), "rtfx": round(heard / seconds, 3) if seconds > 0 and heard else None,
            }
        )  # fmt: skip
    return timings
