"""``audiometry export``: the board as plain files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

HELP = """Write the leaderboard as plain files, for any web server with no Python behind it.

Rankings, slices, models and downloads; sounds and single samples are not in it. Into the folder of an earlier export,
only what changed is written, and what is stale goes.

\b
Examples:
  audiometry export site/
  audiometry export site/ --store postgresql://me@db.example.org/audiometry --title "Our models"
  python -m http.server --directory site
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("export", help=HELP)(export)


def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, or one of an earlier export.")],
    store: Annotated[str | None, typer.Option(help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")] = None,
    title: Annotated[str, typer.Option(help="What the first page is called.")] = "Leaderboard",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON, and nothing else.")] = False,
) -> None:
    """Write the board."""
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.site.build import export_site

    with Store.open(store) as opened:
        done = export_site(opened, folder, title=title)
    if as_json:
        print(json.dumps({"folder": str(folder), **vars(done)}))
    else:
        print(f"{folder / 'index.html'}: {done.files} files, {done.written} written, {done.removed} removed")
