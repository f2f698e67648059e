"""The server process of ``audiometry api``."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

import uvicorn

from audiometry.benchmark.errors import UserError
from audiometry.leaderboard.api.app import PREFIX, create_app
from audiometry.leaderboard.api.limits import ApiLimits
from audiometry.leaderboard.submissions.limits import Limits

__all__ = ["run"]

IDLE_SECONDS = 10
SHUTDOWN_SECONDS = 30
WAITING = 128
CONNECTIONS = 512
"""More requests than that at once are answered with 503."""


def run(
    host: str,
    port: int,
    *,
    store: str | None = None,
    artefacts: str | None = None,
    upload_bytes: int | None = None,
    proxies: Sequence[str] = (),
    origins: Sequence[str] = (),
) -> int:
    """Serve until SIGINT or SIGTERM, which let requests that are under way end; tells on stderr where it listens.

    `upload_bytes` is the most that an archive may have. `proxies` are believed about the address of who asks.

    Raises UserError for an address that cannot be listened at, StoreError as `Store.open` does.
    """
    limits = ApiLimits() if upload_bytes is None else ApiLimits(submission=Limits(archive_bytes=upload_bytes))
    app = create_app(store, artefacts, limits=limits, origins=origins)
    listening = _listen(host, port)
    config = uvicorn.Config(
        app, log_config=None, access_log=True, server_header=False, date_header=True, lifespan="on",
        proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies), timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS, limit_concurrency=CONNECTIONS, ws="none",
    )  # fmt: skip
    shown, taken = listening.getsockname()[:2]
    place = f"[{shown}]" if ":" in shown else shown
    print(f"listening at http://{place}:{taken}{PREFIX}", file=sys.stderr, flush=True)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port that is taken is told before anything else, and port 0 by its number."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UserError(f"--host {host!r} is no address of this machine; give 127.0.0.1 or 0.0.0.0") from error
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen(WAITING)  # from here on nobody is turned away, before the server takes its first request too
    except OSError as error:
        listening.close()
        raise UserError(f"cannot listen at {host}, port {port}: {error.strerror}; give another with --port") from error
    return listening
