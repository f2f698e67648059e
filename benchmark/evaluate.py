"""One evaluation from end to end: plan, ask, journal, reduce, run folder, store."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiometry.benchmark import paths
from audiometry.benchmark.answers import Done
from audiometry.benchmark.cache import default_cache
from audiometry.benchmark.cluster import Stop
from audiometry.benchmark.energy import EnergyMeter, carbon_intensity, combined
from audiometry.benchmark.environment import hardware, versions
from audiometry.benchmark.errors import RunInterruptedError, StoreError, UserError
from audiometry.benchmark.evidence import write_evidence
from audiometry.benchmark.journal import Journal, read_journal
from audiometry.benchmark.logs import RUN_FINISHED, RUN_INTERRUPTED, RUN_STARTED, run_log
from audiometry.benchmark.memory import collected_seldom
from audiometry.benchmark.metrics_export import RunMetrics
from audiometry.benchmark.plan import Plan, RunSettings, make_plan, named_suites
from audiometry.benchmark.progress import Progress
from audiometry.benchmark.runfolder import RUN, RunFolder
from audiometry.benchmark.runner import Outcome, run_plan
from audiometry.benchmark.tally import Tally
from audiometry.benchmark.types import Metric, Result
from audiometry.benchmark.worker import ModelFacts

__all__ = ["Evaluation", "evaluate", "finish", "plan_document", "resume"]

log = logging.getLogger("audiometry.evaluate")

RUNNING = "running"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation gave: its results, its folder, and what went wrong, if anything."""

    status: str
    results: tuple[Result, ...]
    folder: Path
    problems: tuple[str, ...] = ()


def evaluate(
    settings: RunSettings,
    *,
    output: Path | None = None,
    store: str | None = None,
    command: Sequence[str] = (),
    quiet: bool = False,
    metrics_port: int | None = None,
) -> Evaluation:
    """Run models on tasks, and leave a run folder and rows in the store.

    `output` is the run folder (default: a new one under the home folder); `store` is the database's URL. A run that
    is stopped leaves a readable folder that `resume` goes on with, and nothing in the store. With `metrics_port`, a
    TCP port of this machine, the run's progress is served there for Prometheus.

    Raises a UserError for bad input before any model is loaded, and RunInterruptedError after a partial run is
    written.
    """
    from audiometry.benchmark.store import check_writable

    plan = make_plan(settings)
    url = store or paths.store_url()
    check_writable(url)
    carbon_intensity()
    created = datetime.now(UTC)
    run_id = f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder = RunFolder.create(output or paths.runs_folder() / run_id)
    document = {
        "id": run_id, "created": created.isoformat(timespec="seconds"), "finished": None, "status": RUNNING,
        "command": list(command) or sys.argv, **plan_document(plan), "versions": versions(), "hardware": hardware(),
    }  # fmt: skip
    folder.write_json(RUN, document)
    return _logged(plan, folder, document, url, quiet=quiet, metrics_port=metrics_port)


def resume(path: Path, *, store: str | None = None, quiet: bool = False, metrics_port: int | None = None) -> Evaluation:
    """Go on with a run that was stopped; what was answered is not asked again.

    Raises StoreError if the folder holds no unfinished run, UserError if its tasks would be asked otherwise today.
    """
    from audiometry.benchmark.store import check_writable

    folder = RunFolder.open(path)
    document = folder.document()
    if not folder.journal.exists():
        raise StoreError(f"the run in {path} is {document['status']}; there is nothing to go on with")
    document.setdefault("judges", {})
    given = document["settings"]
    lists = {name: tuple(given[name]) for name in ("models", "tasks", "plugins")}
    plan = make_plan(RunSettings(**{**given, **lists}))
    for planned, before in zip(plan.tasks, document["tasks"], strict=True):
        if planned.digest != before["digest"]:
            raise UserError(
                f"task {planned.task.name!r} has other samples today than the run in {path}; start a new run"
            )
    url = store or paths.store_url()
    check_writable(url)
    return _logged(plan, folder, document, url, quiet=quiet, metrics_port=metrics_port)


def _logged(
    plan: Plan, folder: RunFolder, document: dict[str, Any], url: str, *, quiet: bool, metrics_port: int | None
) -> Evaluation:
    """Go on with the run, and keep its log in its folder."""
    names = {"models": [model.label for model in plan.models], "tasks": [one.task.name for one in plan.tasks]}
    if not quiet:
        _tell_skipped(plan)
    # A signal while results are written does not stop that: it takes seconds, and is what the run was for.
    with Stop() as stop, run_log(folder.path), collected_seldom():
        log.info(RUN_STARTED, extra={"run": document["id"], **names})
        try:
            done = _go(plan, folder, document, url, quiet=quiet, metrics_port=metrics_port, stop=stop)
        except RunInterruptedError as error:
            log.info(RUN_INTERRUPTED, extra={"run": document["id"], "reason": str(error)})
            raise
        log.info(RUN_FINISHED, extra={"run": document["id"], "status": done.status, "problems": done.problems})
        return done


def _tell_skipped(plan: Plan) -> None:
    """Say on stderr which tasks of a suite a model is not asked."""
    lacking: dict[tuple[str, str], list[str]] = {}
    for one in plan.skipped:
        lacking.setdefault((one.model, one.ability), []).append(one.task)
    for (model, ability), tasks in lacking.items():
        print(f"{model} cannot {ability}, so it is not asked: {', '.join(tasks)}", file=sys.stderr)


def _go(
    plan: Plan,
    folder: RunFolder,
    document: dict[str, Any],
    url: str,
    *,
    quiet: bool,
    metrics_port: int | None,
    stop: Stop,
) -> Evaluation:
    done = Done(plan)
    journal = Journal(folder.journal)
    cache = default_cache() if plan.settings.cache else None
    outcome = Outcome()
    interrupted: RunInterruptedError | None = None
    meter = EnergyMeter()
    meter.start()

    def learned(who: int | str, facts: ModelFacts) -> None:
        """Write down who is asked, before the first answer: a run that is killed goes on with the same models only."""
        if _learn(document, who, facts):
            folder.write_json(RUN, document)

    with Progress(plan, quiet=quiet) as progress:
        tally = Tally(plan, done, journal, progress, meter)
        try:
            tally.recall()
            stop.check()
            if metrics_port is not None:
                tally.metrics = RunMetrics(plan, done, port=metrics_port)
                print(f"metrics: {tally.metrics.url}", file=sys.stderr)
            outcome = run_plan(
                plan, tally, done=done, cache=cache, artefacts=str(paths.home() / "artefacts"), learned=learned
            )
        except RunInterruptedError as error:
            interrupted = error
        finally:
            if tally.metrics is not None:
                tally.metrics.close()
            journal.close()
            if cache is not None:
                cache.close()
    document |= _outcome_document(document, outcome, tally)
    document["energy"] = combined(document.get("energy"), meter.document())
    done_now = finish(plan, folder, document, tally, url, interrupted=interrupted is not None)
    if interrupted is not None:
        raise RunInterruptedError(
            f"{interrupted}; {tally.count} samples are in {folder.path}; "
            f"go on with: audiometry run --resume {folder.path}"
        ) from interrupted
    return done_now


def finish(
    plan: Plan, folder: RunFolder, document: dict[str, Any], tally: Tally, url: str, *, interrupted: bool
) -> Evaluation:
    """Reduce, write the evidence and the results, and put a complete run into the store.

    The journal goes last: until then the run can be gone on with.
    """
    from audiometry.benchmark.store import Store

    document["fingerprint"] = fingerprint = _fingerprint(plan, document)
    results = tally.results(fingerprint, document["judges"])
    problems = tally.problems()
    document["status"] = "partial" if interrupted else ("too many failures" if problems else "complete")
    document["finished"] = None if interrupted else datetime.now(UTC).isoformat(timespec="seconds")
    labels = [model.label for model in plan.models]
    names = [planned.task.name for planned in plan.tasks]
    write_evidence(folder.path, read_journal(folder.journal), tally.names, labels, names)
    folder.write_results(fingerprint, results)
    folder.write_json(RUN, document)
    if not interrupted:
        if not problems:
            with Store.open(url) as store:
                store.add_run(document, results, str(folder.path.absolute()))
        folder.journal.unlink()
    return Evaluation(document["status"], tuple(results), folder.path, tuple(problems))


def _learn(document: dict[str, Any], who: int | str, facts: ModelFacts) -> bool:
    """Put the fingerprint of a model, or of a judge by its name, into the document; whether it was not there.

    Raises UserError if another one was there.
    """
    model = (
        document["models"][who] if isinstance(who, int) else {"name": who, "fingerprint": document["judges"].get(who)}
    )
    if not facts.fingerprint or facts.fingerprint == model["fingerprint"]:
        return False
    if model["fingerprint"]:
        raise UserError(f"model {model['name']!r} has changed since the run began; start a new run")
    if isinstance(who, int):
        model["fingerprint"] = facts.fingerprint
    else:
        document["judges"][who] = facts.fingerprint
    return True


def _fingerprint(plan: Plan, document: Mapping[str, Any]) -> str:
    """A hash of what was measured on what: equal for a run that repeats this one."""
    text: dict[str, Any] = {
        "models": [[model["name"], model["fingerprint"]] for model in document["models"]],
        "tasks": [task.digest for task in plan.tasks],
        "seed": plan.settings.seed,
        "limit": plan.settings.limit,
        "resamples": plan.settings.resamples,
    }
    if document["judges"]:
        text["judges"] = document["judges"]
    return hashlib.sha256(json.dumps(text, sort_keys=True).encode()).hexdigest()


def plan_document(plan: Plan) -> dict[str, Any]:
    """What a run's document says of its plan."""
    models = [
        {
            "name": model.label, "spec": str(model.spec), "fingerprint": "", "control": model.entry.control,
            "settings": dict(model.spec.settings), "resources": asdict(model.resources),
        }
        for model in plan.models
    ]  # fmt: skip
    tasks = [
        {
            "name": planned.task.name, "spec": str(planned.spec), "version": planned.task.version,
            "settings": dict(planned.task.settings), "notes": list(planned.task.notes),
            "metrics": [_described(metric) for metric in planned.task.metrics],
            "samples": planned.size, "digest": planned.digest,
        }
        for planned in plan.tasks
    ]  # fmt: skip
    settings = plan.settings
    return {
        "seed": settings.seed, "limit": settings.limit, "settings": asdict(settings), "models": models, "judges": {},
        "suites": {name: asdict(suite) for name, suite in named_suites(settings).items()}, "tasks": tasks,
        "skipped": [asdict(one) for one in plan.skipped],
    }  # fmt: skip


def _described(metric: Metric) -> dict[str, Any]:
    """The metric's fields; no bound is None, as JSON has no infinity."""
    bounds = {"low": metric.low, "high": metric.high}
    return asdict(metric) | {name: value if math.isfinite(value) else None for name, value in bounds.items()}


def _outcome_document(document: Mapping[str, Any], outcome: Outcome, tally: Tally) -> dict[str, Any]:
    models = []
    for index, before in enumerate(document["models"]):
        facts = outcome.facts.get(index)
        told = {} if facts is None else {
            "fingerprint": facts.fingerprint, "deterministic": facts.deterministic,
            "load_seconds": round(facts.seconds, 3), "utilisation": outcome.utilisation.get(index, {}),
        }  # fmt: skip
        models.append({**before, **told})
    return {
        "models": models,
        "timings": tally.timings(),
        "start_seconds": round(outcome.start_seconds, 3),
        "asked_seconds": round(outcome.asked_seconds, 3),
        "cluster": {name: value for name, value in outcome.cluster.items() if name in ("CPU", "GPU", "memory")},
    }
