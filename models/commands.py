"""``audiometry env create|list|remove``: environments for models whose packages cannot live beside ours."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from audiometry.models import environments

__all__ = ["register"]

HELP = """Make environments of their own for models whose packages cannot live beside ours."""

CREATE_HELP = """Make an environment under AUDIOMETRY_HOME; one that was cut off is gone on with.

\b
Examples:
  audiometry env create audiocraft
  audiometry env create audiocraft --python /usr/bin/python3.11
"""

LIST_HELP = """List the environments, whether each is whole, and its size.

\b
Examples:
  audiometry env list
  audiometry env list --json
"""

REMOVE_HELP = """Remove an environment with everything in it.

\b
Examples:
  audiometry env remove audiocraft
"""

Name = Annotated[str, typer.Argument(help="Name of an environment (see: audiometry env list).")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    env = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=False)
    env.command("create", help=CREATE_HELP)(create)
    env.command("list", help=LIST_HELP)(list_all)
    env.command("remove", help=REMOVE_HELP)(remove)
    app.add_typer(env, name="env")


def create(
    name: Name,
    python: Annotated[
        str | None, typer.Option(help="The Python to make it from. [default: this one, if it fits]")
    ] = None,
) -> None:
    """Make an environment."""
    made = environments.create(name, lambda text: typer.echo(text, err=True), python=python)
    typer.echo(f"{name}: {'made' if made else 'ready'}, {environments.size(name) / 1e9:.1f} GB", err=True)


def list_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the environments."""
    rows = []
    for recipe in environments.RECIPES.values():
        state, place = environments.state(recipe.name), str(environments.folder(recipe.name))
        size = environments.size(recipe.name)
        rows.append({"name": recipe.name, "summary": recipe.summary, "state": state, "bytes": size, "folder": place})
        if not as_json:
            typer.echo(f"{recipe.name}  {state}  {size / 1e9:.1f} GB  {recipe.summary}  {place}")
    if as_json:
        typer.echo(json.dumps(rows, indent=2))


def remove(name: Name) -> None:
    """Remove an environment."""
    typer.echo(f"{name}: removed, {environments.remove(name) / 1e9:.1f} GB free again", err=True)
