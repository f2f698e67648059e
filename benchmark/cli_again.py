"""``audiometry score`` and ``audiometry cache``: what earlier runs left behind, used again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

SCORE_HELP = """Score the answers of an earlier run again, with today's metrics and normalisers, without asking a model.

\b
Examples:
  audiometry score runs/first
  audiometry score runs/first --output-path runs/first-again --json
"""

CACHE_HELP = """The answers that are kept between runs.

\b
Examples:
  audiometry cache stats
  audiometry cache prune --unused-days 30
"""

STATS_HELP = """Tell how many answers are kept, and how large they are.

\b
Examples:
  audiometry cache stats
"""

PRUNE_HELP = """Forget answers that were not asked for lately.

\b
Examples:
  audiometry cache prune --unused-days 30
"""

DAY_SECONDS = 86_400.0


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("score", help=SCORE_HELP)(score)
    cache = typer.Typer(help=CACHE_HELP, rich_markup_mode=None, no_args_is_help=False)
    cache.command("stats", help=STATS_HELP)(stats)
    cache.command("prune", help=PRUNE_HELP)(prune)
    app.add_typer(cache, name="cache")


def score(
    run: Annotated[Path, typer.Argument(help="A run folder, or the name of one under AUDIOMETRY_HOME.")],
    output_path: Annotated[Path | None, typer.Option("--output-path", "-o", help="The new run's folder.")] = None,
    store: Annotated[str | None, typer.Option(help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> int:
    """Score an earlier run again."""
    from audiometry.benchmark.cli_run import end, found_run
    from audiometry.benchmark.rescore import rescore

    return end(rescore(found_run(run), output=output_path, store=store, quiet=quiet), as_json)


def stats() -> None:
    """Tell what is kept."""
    from audiometry.benchmark.cache import default_cache

    found = default_cache().stats()
    since = (
        "" if found.oldest is None else f", the oldest last used {datetime.fromtimestamp(found.oldest, UTC):%Y-%m-%d}"
    )
    typer.echo(f"{found.answers} answers, {found.size / 2**20:.1f} MiB{since}")


def prune(
    unused_days: Annotated[float, typer.Option(min=0.0, help="Forget what was not asked for in so many days.")],
) -> None:
    """Forget what was not asked for lately."""
    from audiometry.benchmark.cache import default_cache

    typer.echo(f"{default_cache().prune(unused_seconds=unused_days * DAY_SECONDS)} answers forgotten")
