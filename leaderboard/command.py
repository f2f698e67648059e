"""``audiometry serve``: the leaderboard in a browser."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from audiometry.benchmark.errors import UserError

__all__ = ["register", "streamlit_arguments"]

HELP = """Show the leaderboard in a browser: ranking, slices, and every sample with its sound.

\b
Examples:
  audiometry serve
  audiometry serve --port 8600 --store sqlite:////data/store.db
  audiometry serve --host 0.0.0.0     (anybody who reaches this machine sees the results and hears the samples)
"""

APP = Path(__file__).parent / "app.py"

THEME = {
    "theme.light.primaryColor": "#0072b2",
    "theme.dark.primaryColor": "#56b4e9",
    "theme.dark.backgroundColor": "#11161d",
    "theme.dark.secondaryBackgroundColor": "#1b232d",
}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("serve", help=HELP)(serve)


def serve(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen at.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen at; by default this machine alone.")] = "127.0.0.1",
    store: Annotated[str | None, typer.Option(help="Database URL. [default: AUDIOMETRY_STORE, or SQLite]")] = None,
    artefacts: Annotated[
        str | None,
        typer.Option(help="Where files of submissions go. [default: AUDIOMETRY_ARTEFACTS, or below AUDIOMETRY_HOME]"),
    ] = None,
) -> int:
    """Show the leaderboard in a browser.

    Raises UserError before anything is started: a store that cannot be opened, a port that is taken.
    """
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard.submissions.artefacts import ArtefactStore
    from audiometry.leaderboard.uploads import guard_uploads

    try:
        from streamlit.web.cli import main
    except ModuleNotFoundError as error:
        raise UserError(
            f"the leaderboard needs the package {error.name!r}; install it with: pip install 'audiometry[board]'"
        ) from error
    Store.open(store).close()
    _check_port(host, port)
    if store is not None:
        os.environ["AUDIOMETRY_STORE"] = store  # the app asks `paths.store_url`, as every part does
    if artefacts is not None:
        ArtefactStore(artefacts)
        os.environ["AUDIOMETRY_ARTEFACTS"] = artefacts
    _read_ahead()
    _answer_at_once()
    guard_uploads()
    main(args=streamlit_arguments(host, port), prog_name="audiometry serve", standalone_mode=False)
    return 0


def _read_ahead() -> None:
    """Read what the first page shows, so that its first reader need not wait for that."""
    from audiometry.benchmark import paths
    from audiometry.benchmark.store import Store
    from audiometry.leaderboard import queries, suite_board

    url = paths.store_url()
    with Store.open(url) as store:
        state = queries.state_of(store, url)
    if not queries.protocols(state).empty:
        suite_board.board_of(state, suite_board.offered_suites(state)[0])


def _answer_at_once() -> None:
    """Have small answers sent at once: Streamlit's connections wait 40 ms for the reader's word on what came before.

    asyncio prevents that on sockets whose protocol is named, which Streamlit's is not. Connections take the option from
    the socket that listens.
    """
    from streamlit.web.server.starlette import starlette_server as server

    bind = server._bind_socket

    def bound(address: str, port: int, backlog: int) -> socket.socket:
        listening = bind(address, port, backlog)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening

    server._bind_socket = bound


def streamlit_arguments(host: str, port: int) -> list[str]:
    """What Streamlit is told: where to listen, to open no browser, to send nothing to anybody, and the theme."""
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        **THEME,
    }
    return ["run", str(APP), *(f"--{name}={value}" for name, value in options.items())]


def _check_port(host: str, port: int) -> None:
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UserError(f"--host {host!r} is no address of this machine; give 127.0.0.1 or 0.0.0.0") from error
    family, kind, protocol, _, address = addresses[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise UserError(
                f"cannot listen at {host}, port {port}: {error.strerror}; give another with --port"
            ) from error
