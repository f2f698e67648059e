"""Many that submit at once, over real HTTP: nobody is kept waiting by one who sends slowly, and nobody gives up."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from audiometry.benchmark.errors import UserError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import routes_submissions, tokens
from audiometry.leaderboard.api.app import create_app
from audiometry.leaderboard.api.limits import ApiLimits, Rate
from audiometry.leaderboard.submissions import client
from audiometry.leaderboard.submissions.checks import check_folder
from audiometry.leaderboard.submissions.client import Server, send
from audiometry.leaderboard.submissions.queue import Queue

MANIFEST = (
    "name: Of {}\nadapter: pocketsphinx\nlicence: MIT\ntraining_data: []\ncontact: me@example.org\nsuite: smoke\n"
)
PLENTY = Rate(1e9, 10**6)
PATIENCE = 180
"""Seconds: the first upload loads much, which takes long where much else runs."""

Serve = Callable[..., int]


@pytest.fixture
def serve(store_url: str, tmp_path: Path) -> Iterator[Serve]:
    """Starts a real server with some limits; gives its port."""
    with ExitStack() as stack:

        def start(**limits: Any) -> int:
            plenty = {"address": PLENTY, "token": PLENTY, "uploads": PLENTY}
            app = create_app(store_url, str(tmp_path / "artefacts"), limits=ApiLimits(**plenty | limits))
            running = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
            thread = threading.Thread(target=running.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, running, "should_exit", True)
            while not running.started:
                time.sleep(0.01)
            port: int = running.servers[0].sockets[0].getsockname()[1]
            return port

        yield start


def model(folder: Path, name: str) -> Path:
    folder.mkdir()
    (folder / "audiometry.yaml").write_text(MANIFEST.format(name))
    return folder


@contextmanager
def slow_upload(port: int, token: str) -> Iterator[None]:
    """Somebody who has sent the beginning of an archive."""
    head = (
        "POST /api/v1/submissions HTTP/1.1\r\nHost: x\r\nContent-Type: application/zip\r\nContent-Length: 1000\r\n"
        f"Authorization: Bearer {token}\r\n\r\nPK"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode())
        yield


def post(port: int, token: str) -> tuple[int, Mapping[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(
        "POST", "/api/v1/submissions", b"x", {"Authorization": f"Bearer {token}", "Content-Type": "application/zip"}
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, dict(answer.headers)


def test_slow_uploads_keep_nobody_else_waiting(serve: Serve, api_store: Store, tmp_path: Path) -> None:
    port, slow = serve(), tokens.create(api_store, "slow", "submitter")
    folder = model(tmp_path / "mine", "somebody quick")
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(slow_upload(port, slow))
        began = time.monotonic()
        quick = Server(f"http://127.0.0.1:{port}", tokens.create(api_store, "quick", "submitter"))
        assert send(quick, folder, check_folder(folder))["state"] == "queued"
        assert time.monotonic() - began < 30


def test_so_many_may_be_arriving_with_one_token_and_in_all(serve: Serve, api_store: Store) -> None:
    port = serve(arriving=3, arriving_each=2)
    first, second, third = (tokens.create(api_store, name, "submitter") for name in "abc")
    with ExitStack() as stack:

        def full(sends: str, asks: str) -> bool:
            """Whether `asks` is refused; one that sends slowly came too early or too late, so another one follows."""
            stack.enter_context(slow_upload(port, sends))
            time.sleep(0.2)
            return post(port, asks)[0] == 429

        assert until(lambda: full(first, first))
        status, headers = post(port, first)
        assert (status, headers["retry-after"]) == (429, "5")
        assert post(port, second)[0] == 422
        assert until(lambda: full(second, third))
    assert until(lambda: post(port, third)[0] == 422)
    assert post(port, first)[0] == 422


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def test_an_upload_whose_turn_does_not_come_is_told_to_come_again(
    serve: Serve, api_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, entered, leave = tokens.create(api_store, "a", "submitter"), threading.Event(), threading.Event()

    def long_check(*_: object) -> None:
        entered.set()
        leave.wait(60)
        raise UserError("enough")

    monkeypatch.setattr(routes_submissions, "_accept", long_check)
    port = serve(at_once=1, turn_seconds=0.2)
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(post, port, token)
        assert entered.wait(30)
        status, headers = post(port, token)
        leave.set()
        assert (status, headers["retry-after"]) == (429, "30")
        assert before.result()[0] == 422


@pytest.mark.parametrize("limits", [{}, {"arriving": 2, "at_once": 1}], ids=["usual", "narrow"])
def test_everybody_who_submits_at_once_comes_in(
    serve: Serve, api_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]
) -> None:
    monkeypatch.setattr(client, "USUAL_WAIT", 0.2)
    monkeypatch.setattr(client, "SHORTEST_WAIT", 0.2)
    monkeypatch.setattr(client, "LONGEST_WAIT", 0.2)
    port, many = serve(**limits), 12
    folders = [model(tmp_path / f"model-{place}", str(place)) for place in range(many)]
    servers = [
        Server(f"http://127.0.0.1:{port}", tokens.create(api_store, f"submitter {place}", "submitter"))
        for place in range(many)
    ]
    ready = threading.Barrier(many)

    def submit(place: int) -> str:
        checked = check_folder(folders[place])
        ready.wait(60)
        return str(send(servers[place], folders[place], checked)["state"])

    with ThreadPoolExecutor(many) as pool:
        assert list(pool.map(submit, range(many))) == ["queued"] * many
    assert len(Queue(api_store).listing(limit=100)) == many


class Busy:
    """A server that answers with the given statuses, one a connection, and remembers the bodies that it got."""

    def __init__(self, *statuses: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.bodies: list[bytes] = []
        self._thread = threading.Thread(target=self._answer, args=(statuses,))
        self._thread.start()

    def close(self) -> None:
        self._thread.join()
        self._listening.close()

    def _answer(self, statuses: tuple[int, ...]) -> None:
        for status in statuses:
            connection, _ = self._listening.accept()
            with connection:
                got = b""
                while len(got.partition(b"\r\n\r\n")[2]) < 4:
                    got += connection.recv(65536)
                self.bodies.append(got.partition(b"\r\n\r\n")[2])
                text = json.dumps({"detail": "come again", "id": "x"})
                head = f"HTTP/1.1 {status} x\r\nRetry-After: 7\r\nContent-Length: {len(text)}\r\n\r\n"
                connection.sendall((head + text).encode())


def test_a_busy_server_is_asked_again_when_it_says_and_for_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waited.append)
    archive = tmp_path / "archive"
    archive.write_bytes(b"PK__")
    busy = Busy(429, 503, 201)
    assert Server(f"http://127.0.0.1:{busy.port}", "am_x").submit(archive)["id"] == "x"
    busy.close()
    assert busy.bodies == [b"PK__"] * 3  # each time from the beginning
    assert len(waited) == 2
    assert all(7 <= seconds <= 7 * 1.25 for seconds in waited)
    assert capsys.readouterr().err == "127.0.0.1 is busy; asking again in 7 s\n"
    monkeypatch.setattr(client, "PATIENCE_SECONDS", 6.0)
    busy = Busy(429)
    with pytest.raises(UserError, match="127\\.0\\.0\\.1: come again"):
        Server(f"http://127.0.0.1:{busy.port}", "am_x").submit(archive)
    busy.close()
