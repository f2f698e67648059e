"""``audiometry ls tasks|models|suites|corpora``."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import (
    CORPORA,
    MODELS,
    SUITES,
    TASKS,
    Entry,
    Registry,
    load_plugin_file,
    load_plugins,
    plugin_failures,
)

__all__ = ["register"]

HELP = """List what is registered: tasks, models, suites or corpora.

\b
Examples:
  audiometry ls tasks
  audiometry ls models --json
  audiometry ls tasks --plugin ./my_task.py
"""


class Kind(StrEnum):
    """What can be listed."""

    tasks = "tasks"
    models = "models"
    suites = "suites"
    corpora = "corpora"


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("ls", help=HELP)(ls)


def ls(
    kind: Annotated[Kind, typer.Argument(help="What to list.")],
    plugin: Annotated[list[str] | None, typer.Option(help="A Python file with tasks or models of your own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
) -> None:
    """List what is registered."""
    load_plugins()
    for path in plugin or []:
        load_plugin_file(path)
    for where, error in plugin_failures().items():
        typer.echo(f"audiometry: plug-in {where} failed to import: {type(error).__name__}: {error}", err=True)
    registries: dict[Kind, Registry[Any]] = {
        Kind.tasks: TASKS, Kind.models: MODELS, Kind.suites: SUITES, Kind.corpora: CORPORA,
    }  # fmt: skip
    lines = [_facts(kind, entry) for entry in registries[kind].entries()]
    if as_json:
        typer.echo(json.dumps(lines, indent=1, ensure_ascii=False))
    else:
        _table(kind, lines)


def _facts(kind: Kind, entry: Entry[Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": entry.name, "summary": entry.summary, "origin": entry.origin}
    if kind is Kind.models:
        facts |= {"abilities": sorted(entry.abilities), "control": entry.control}
    if kind is Kind.suites:
        made = entry.factory()
        facts |= {"version": made.version, "tasks": list(made.weights), "weights": dict(made.weights)}
    if kind is Kind.corpora:
        facts |= dict(entry.facts)
        try:
            corpus = entry.factory()
        except (TypeError, SettingError):  # it needs settings (a path), so there is nothing to look at yet
            return facts | {"ready": None, "where": f"where a setting says: {entry.name}:path=…"}
        facts |= {"ready": corpus.ready(), **corpus.describe(), **entry.facts}
        facts["where"] = _where(facts)
    return facts


def _where(facts: dict[str, Any]) -> str:
    """The folder of a corpus that is ready, how to get one that is not."""
    if facts["ready"]:
        return str(facts.get("folder", ""))
    return str(facts.get("get") or f"run: audiometry data prepare {facts['name']}")


def _table(kind: Kind, lines: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from audiometry.benchmark.report import console

    more = {
        "tasks": [],
        "models": ["abilities"],
        "suites": ["version", "tasks"],
        "corpora": ["ready", "language", "licence", "where"],
    }[kind]
    table = Table(box=None, pad_edge=False)
    for heading in ["name", *more, "summary"]:
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for line in lines:
        cells = [_cell(line.get(heading)) for heading in ["name", *more, "summary"]]
        table.add_row(*map(Text, cells))
    console().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else str(value)
