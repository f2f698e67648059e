"""Names for what a gate compares with: one model in one run of the results store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from audiometry.benchmark.checksums import checksums
from audiometry.benchmark.compare import SEPARATOR, Side, open_side, run_document
from audiometry.benchmark.errors import SettingError, StoreError
from audiometry.benchmark.runfolder import RUN, read_results
from audiometry.benchmark.schema import BASELINES, RUNS
from audiometry.benchmark.store import Store

__all__ = ["Baseline", "baselines", "open_reference", "remove_baseline", "set_baseline"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A name, the run and model it stands for, where the run's folder is, and since when.

    `evidence` is the SHA-256 of the folder's files by name, as far as the store knows it.
    """

    name: str
    run: str
    model: str
    folder: str
    created: datetime
    evidence: Mapping[str, str]


def set_baseline(store: Store, name: str, side: Side) -> Baseline:
    """Let `name` stand for a side from now on.

    A run that the store does not hold is put in; of one that it holds, the side's folder becomes the folder.

    Raises SettingError for a name that is none, StoreError for a run that is not complete or cannot be put in, or whose
    files are not those that the store knows.
    """
    if not NAME.fullmatch(name):
        raise SettingError(
            f"{name!r} cannot name a baseline; take up to 200 letters, digits, dots, hyphens and underscores"
        )
    if side.document["status"] != "complete":
        raise StoreError(f"run {side.run} is {side.document['status']}, and no baseline; finish it, or take another")
    folder = str(side.folder.absolute())
    with store.reading() as connection:
        known = connection.execute(sa.select(RUNS.c.evidence).where(RUNS.c.id == side.run)).one_or_none()
    if known is None:
        store.add_run(side.document, read_results(side.folder), folder)
    elif changed := _changed(folder, known.evidence):
        raise StoreError(
            f"{folder}/{changed} is not that of run {side.run} as the store knows it; put the file back, or take "
            "another run"
        )
    row = {"name": name, "run_id": side.run, "model": side.model, "created": datetime.now(UTC)}
    with store.writing() as connection:
        connection.execute(sa.update(RUNS).where(RUNS.c.id == side.run).values(folder=folder))
        connection.execute(sa.delete(BASELINES).where(BASELINES.c.name == name))
        connection.execute(sa.insert(BASELINES), row)
    return find_baseline(store, name)


def find_baseline(store: Store, name: str) -> Baseline:
    """The baseline of that name.

    Raises StoreError if there is none, naming those that there are.
    """
    known = baselines(store)
    for baseline in known:
        if baseline.name == name:
            return baseline
    names = ", ".join(baseline.name for baseline in known) or "none yet"
    raise StoreError(
        f"there is no baseline {name!r}; there are: {names}; set one with: audiometry baseline set NAME RUN"
    )


def baselines(store: Store) -> list[Baseline]:
    """Every baseline, by name."""
    named = BASELINES.c
    columns = (named.name, named.run_id, named.model, RUNS.c.folder, named.created, RUNS.c.evidence)
    with store.reading() as connection:
        rows = connection.execute(sa.select(*columns).join(RUNS).order_by(BASELINES.c.name)).all()
    return [Baseline(*row) for row in rows]


def remove_baseline(store: Store, name: str) -> None:
    """Forget a name. The run stays.

    Raises StoreError if there is no such name.
    """
    find_baseline(store, name)
    with store.writing() as connection:
        connection.execute(sa.delete(BASELINES).where(BASELINES.c.name == name))


def open_reference(text: str, url: str | None = None) -> Side:
    """Open a baseline by its name, or ``RUN`` or ``RUN::MODEL`` as `open_side` does.

    Raises StoreError if there is neither, if there are both, or if the run that a name stands for has moved or is not
    what it was.
    """
    if SEPARATOR in text or not NAME.fullmatch(text):
        return open_side(text)
    with Store.open(url) as store:
        found = {baseline.name: baseline for baseline in baselines(store)}
    baseline = found.get(text)
    if baseline is None:
        try:
            return open_side(text)
        except StoreError as error:
            names = ", ".join(found) or "none yet"
            raise StoreError(f"{error}; it is no baseline either (there are: {names})") from error
    if (Path(text) / "run.json").is_file():
        raise StoreError(f"{text!r} is a stored baseline and a run folder; write ./{text} for the folder")
    _check_unchanged(baseline)
    return open_side(f"{baseline.folder}{SEPARATOR}{baseline.model}")


def _check_unchanged(baseline: Baseline) -> None:
    """That the folder still holds the run that the name stands for; a folder that is gone is told by who opens it."""
    folder = Path(baseline.folder)
    if not (folder / RUN).is_file():
        return
    run = run_document(folder)["id"]
    if run != baseline.run:
        raise StoreError(
            f"baseline {baseline.name!r} is run {baseline.run}, and {folder} holds another one now, {run}; put the "
            f"run back, or take another with: audiometry baseline set {baseline.name} RUN"
        )
    if changed := _changed(baseline.folder, baseline.evidence):
        raise StoreError(
            f"{folder}/{changed} has changed since run {run}, baseline {baseline.name!r}, was put in; put the file "
            f"back, or take another run with: audiometry baseline set {baseline.name} RUN"
        )


def _changed(folder: str, known: Mapping[str, str]) -> str | None:
    """The first file of a run folder that is not as the store knows it."""
    found = checksums(folder)
    return next((name for name in sorted(found) if known.get(name, found[name]) != found[name]), None)
