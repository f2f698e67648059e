"""``audiometry api`` and ``audiometry token``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from audiometry.leaderboard.api.tokens import Token

__all__ = ["register"]

API_HELP = """Serve the HTTP interface: submissions, results, comparisons and exports for programs.

Its OpenAPI document is at /api/v1/openapi.json. Make tokens with: audiometry token create

\b
Examples:
  audiometry api
  audiometry api --port 8601 --store postgresql://me@db/audiometry --artefacts s3://bucket/submissions
  audiometry api --host 0.0.0.0 --trusted-proxy 10.0.0.1     (behind a proxy that speaks TLS)
"""

ABOUT_TOKENS = """Make, list and revoke tokens of the HTTP interface."""

CREATE_HELP = """Make a token, and print it: the only time that it is seen.

A viewer reads, a submitter also submits, a maintainer also makes and revokes tokens; an auditor reads everything,
the audit log too.

\b
Examples:
  audiometry token create "Ann Example" --role submitter
  audiometry token create ci --role viewer --expires 52w
"""

LIST_HELP = """List the tokens, without their secrets.

\b
Examples:
  audiometry token list
  audiometry token list --json
"""

REVOKE_HELP = """Take a token back, from now on.

\b
Examples:
  audiometry token revoke 0123456789abcdef
"""

StoreOption = Annotated[
    str | None, typer.Option("--store", help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")
]  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("api", help=API_HELP)(serve)
    tokens = typer.Typer(help=ABOUT_TOKENS, no_args_is_help=True)
    tokens.command("create", help=CREATE_HELP)(create)
    tokens.command("list", help=LIST_HELP)(show)
    tokens.command("revoke", help=REVOKE_HELP)(revoke)
    app.add_typer(tokens, name="token")


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 8600,
    host: Annotated[str, typer.Option(help="Address to listen at; by default this machine alone.")] = "127.0.0.1",
    store: StoreOption = None,
    artefacts: Annotated[
        str | None,
        typer.Option(help="Where files of submissions go. [default: AUDIOMETRY_ARTEFACTS, or below AUDIOMETRY_HOME]"),
    ] = None,
    upload_mib: Annotated[int, typer.Option(min=1, help="Largest archive of a submission, in MiB.")] = 4096,
    trusted_proxy: Annotated[
        list[str] | None, typer.Option(help="Address of a proxy whose X-Forwarded-For is believed; may be repeated.")
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Origin of web pages that may call; by default none. May be repeated.")
    ] = None,
) -> int:
    """Serve the HTTP interface until it is told to end.

    Raises UserError before anything is started: a store that cannot be opened, a port that is taken.
    """
    from audiometry.benchmark.errors import UserError

    try:
        from audiometry.leaderboard.api.server import run
    except ModuleNotFoundError as error:
        raise UserError(
            f"the HTTP interface needs the package {error.name!r}; install it with: pip install 'audiometry[server]'"
        ) from error
    return run(
        host, port, store=store, artefacts=artefacts, upload_bytes=upload_mib * 2**20, proxies=trusted_proxy or (),
        origins=cors_origin or (),
    )  # fmt: skip


def create(
    name: Annotated[str, typer.Argument(help="Whose it is: the name that submissions and the audit log carry.")],
    role: Annotated[str, typer.Option(help="viewer, submitter, maintainer or auditor.")],
    expires: Annotated[str, typer.Option(help="How long it lives: 12h, 30d, 4w, or never.")] = "90d",
    store: StoreOption = None,
) -> None:
    """Make a token."""
    from datetime import UTC, datetime

    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.api import tokens

    life = tokens.lifetime(expires)
    with Store.open(store) as opened:
        typer.echo(tokens.create(opened, name, role, None if life is None else datetime.now(UTC) + life))


def show(
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON, and nothing else.")] = False,
) -> None:
    """List the tokens."""
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.api import tokens

    with Store.open(store) as opened:
        found = tokens.listing(opened)
    if as_json:
        typer.echo(json.dumps([_document(token) for token in found], indent=1, ensure_ascii=False))
    else:
        _print(found)


def revoke(
    token: Annotated[str, typer.Argument(metavar="ID", help="The token's id: its middle part, or the token itself.")],
    store: StoreOption = None,
) -> None:
    """Take a token back."""
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.api import tokens

    with Store.open(store) as opened:
        ended = tokens.revoke(opened, token.split("_")[1] if token.startswith("am_") else token)
    typer.echo(f"revoked {ended.id} of {json.dumps(ended.name, ensure_ascii=False)} ({ended.role})", err=True)


def _document(token: Token) -> dict[str, str | None]:
    times = {name: _time(getattr(token, name)) for name in ("created", "expires", "revoked", "last_used")}
    return {"id": token.id, "name": token.name, "role": token.role} | times


def _print(found: list[Token]) -> None:
    from datetime import UTC, datetime

    from rich.table import Table
    from rich.text import Text

    from audiometry.benchmark.report import console

    now = datetime.now(UTC)
    table = Table()
    for heading in ("id", "name", "role", "state", "created", "expires", "last used"):
        table.add_column(heading)
    for token in found:
        ended = "revoked" if token.revoked else "expired" if token.expires and token.expires <= now else "good"
        times = [_day(time) for time in (token.created, token.expires, token.last_used)]
        table.add_row(*map(Text, (token.id, token.name, token.role, ended, *times)))
    console().print(table)


def _day(time: datetime | None) -> str:
    return "never" if time is None else f"{time:%Y-%m-%d}"


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
