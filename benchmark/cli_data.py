"""``audiometry data prepare`` and ``audiometry data build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiometry.benchmark.errors import DataError

__all__ = ["register"]

HELP = """Fetch or check recordings."""

PREPARE_HELP = """Fetch corpora into AUDIOMETRY_HOME, or read them from a folder; doing it twice does nothing.

\b
Examples:
  audiometry data prepare asterisk-en
  audiometry data prepare asterisk-en --source ./debs
  audiometry data prepare synthetic-en
  audiometry data prepare librispeech:split=test-other
  audiometry data prepare librispeech --source /data/LibriSpeech
"""


BUILD_HELP = """Make corpora on this machine; the same as `prepare`, by the beginning of a name.

\b
Examples:
  audiometry data build spoof
  audiometry data build spoof --source ./debs
"""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    data = typer.Typer(help=HELP, rich_markup_mode=None, no_args_is_help=False)
    data.command("prepare", help=PREPARE_HELP)(prepare)
    data.command("build", help=BUILD_HELP)(build)
    app.add_typer(data, name="data")


def build(
    corpora: Annotated[list[str], typer.Argument(help="A corpus, or the unambiguous beginning of its name.")],
    source: Annotated[Path | None, typer.Option(help="A folder with the packages that would be fetched.")] = None,
) -> None:
    """Make corpora."""
    from audiometry.benchmark.registry import CORPORA

    names = []
    for word in corpora:
        found = [name for name in CORPORA.names() if name.startswith(word)]
        if word not in found and len(found) != 1:
            known = ", ".join(found) or "none begins so; see: audiometry ls corpora"
            raise DataError(f"{word!r} is not the beginning of one corpus: {known}")
        names.append(word if word in found else found[0])
    prepare(names, source)


def prepare(
    corpora: Annotated[list[str], typer.Argument(help="NAME or NAME:k=v,k=v (see: audiometry ls corpora).")],
    source: Annotated[Path | None, typer.Option(help="A folder to read from, where nothing can be fetched.")] = None,
) -> None:
    """Fetch corpora."""
    from audiometry.benchmark.registry import CORPORA, parse_spec

    if source is not None and not source.is_dir():
        raise DataError(f"--source {source} is not a folder; give the folder that holds the packages or recordings")
    made = [(name, CORPORA.create(parse_spec(name))) for name in corpora]
    for name, corpus in made:
        if source is None and corpus.ready():
            typer.echo(f"{name}: ready", err=True)
            continue
        corpus.prepare(None if source is None else str(source), lambda text: typer.echo(text, err=True))
        typer.echo(f"{name}: prepared", err=True)
