"""Scoring again: today's metrics and normalisers on the answers of an earlier run, without asking any model."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audiometry.benchmark import paths
from audiometry.benchmark.answers import Done
from audiometry.benchmark.environment import hardware, versions
from audiometry.benchmark.errors import UserError
from audiometry.benchmark.evaluate import Evaluation, finish, plan_document
from audiometry.benchmark.evidence import read_outputs
from audiometry.benchmark.journal import Journal
from audiometry.benchmark.plan import Item, Plan, PlannedModel, RunSettings, Skipped, plan_tasks
from audiometry.benchmark.progress import Progress
from audiometry.benchmark.registry import Entry, Resources, load_plugin_file, parse_spec
from audiometry.benchmark.rows import Row, judged_row, make_row, restored_output
from audiometry.benchmark.runfolder import RUN, RunFolder
from audiometry.benchmark.tally import Tally
from audiometry.benchmark.types import Model, Task

__all__ = ["rescore"]


def rescore(path: Path, *, output: Path | None = None, store: str | None = None, quiet: bool = False) -> Evaluation:
    """Score the answers of the run in `path` again, into a new run folder (`output`) and the store.

    The models need not be there any more. Answers to samples that the task has no more are left out, and samples
    without an answer make the new run partial, as its notes say.

    Raises StoreError if there is no run, or sound that its models made is not kept any more; UserError if none of
    its answers belongs to a sample of today's task.
    """
    from audiometry.benchmark.store import check_writable

    before = RunFolder.open(path).document()
    plan = _plan(before)
    url = store or paths.store_url()
    check_writable(url)
    now = datetime.now(UTC)
    run_id = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder = RunFolder.create(output or paths.runs_folder() / run_id)
    document: dict[str, Any] = {
        "id": run_id, "created": now.isoformat(timespec="seconds"), "finished": None, "status": "running",
        "command": sys.argv, "rescored": before["id"], **plan_document(plan), "models": before["models"],
        "judges": before.get("judges") or {},
        "start_seconds": 0.0, "cluster": {}, "versions": versions(), "hardware": hardware(),
    }  # fmt: skip
    folder.write_json(RUN, document)
    journal = Journal(folder.journal)
    try:
        with Progress(plan, quiet=quiet) as progress:
            tally = Tally(plan, Done(plan), journal, progress)
            _score(plan, path, tally)
    finally:
        journal.close()
    if tally.count == 0:
        raise UserError(f"no answer of the run in {path} belongs to a sample of its tasks today; run the models again")
    return finish(plan, folder, document | {"timings": tally.timings()}, tally, url, interrupted=False)


def _judged(task: Task, item: Item, row: Row, answers: Mapping[str, Mapping[str, Any]]) -> Row:
    """The row scored by what its judges said then.

    Raises UserError if today's task asks another judge.
    """
    missing = sorted(row.judge.keys() - answers.keys())
    if missing:
        raise UserError(
            f"task {task.name!r} has sample {item.sample.id!r} judged by {missing[0]!r} today, which did not judge it "
            "in that run; run the models again (their own answers are in the cache)"
        )
    return judged_row(task, item, row, {name: answers[name] for name in row.judge})


def _plan(before: dict[str, Any]) -> Plan:
    given = before["settings"]
    lists = {name: tuple(given[name]) for name in ("models", "tasks", "plugins")}
    settings = RunSettings(**{**given, **lists})
    for plugin in settings.plugins:
        load_plugin_file(plugin)
    models = tuple(_named(model["spec"], control=model["control"]) for model in before["models"])
    asked = {task["name"] for task in before["tasks"]}
    tasks = tuple(planned for planned in plan_tasks(settings) if planned.task.name in asked)
    skipped = tuple(Skipped(**one) for one in before.get("skipped", ()))
    without = {(one.model, one.task) for one in skipped}
    pairs = tuple(
        (m, t)
        for m, model in enumerate(models)
        for t, planned in enumerate(tasks)
        if (model.label, planned.task.name) not in without
    )
    return Plan(settings, models, tasks, pairs, skipped=skipped)


def _named(text: str, *, control: bool) -> PlannedModel:
    """A model that is only named: it will not be asked."""
    spec = parse_spec(text)

    def factory() -> Model:
        raise UserError(f"model {spec.name!r} is not asked when a run is scored again")

    return PlannedModel(spec, Entry(spec.name, factory, "", "an earlier run", control=control), Resources())


def _score(plan: Plan, path: Path, tally: Tally) -> None:
    artefacts = str(paths.home() / "artefacts")
    models = {model.label: index for index, model in enumerate(plan.models)}
    tasks = {planned.task.name: index for index, planned in enumerate(plan.tasks)}
    samples = [{sample.id: (position, sample) for position, sample in planned.samples()} for planned in plan.tasks]
    pairs: dict[int, list[tuple[Item, Row]]] = {}
    for answer in read_outputs(path):
        task = tasks.get(answer["task"])
        if task is None or answer["sample_id"] not in samples[task]:
            continue
        item = Item(*samples[task][answer["sample_id"]])
        output = restored_output(answer["status"], answer["output"], artefacts)
        row = make_row(task, plan.tasks[task].task, item, output, artefacts, answer["output"])
        if row.judge:
            row = _judged(plan.tasks[task].task, item, row, answer["output"].get("judged") or {})
        pairs.setdefault(models[answer["model"]], []).append((item, row))
    for model, found in sorted(pairs.items()):
        tally.answered(model, found)
