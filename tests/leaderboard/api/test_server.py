"""A real `audiometry api` process, talked to as strangers do; the token commands; the examples of the documentation."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from audiometry.benchmark import cli
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import tokens
from audiometry.leaderboard.submissions.queue import Queue

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
COMMAND = Path(sys.executable).with_name("audiometry")


@contextmanager
def serving(folder: Path, store_url: str, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`audiometry api` on a free port; gives its URL. Whatever it said is in ``folder/log``."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = os.environ | {
        "AUDIOMETRY_STORE": store_url, "AUDIOMETRY_HOME": str(folder / "home"), "TMPDIR": str(scratch),
        "AUDIOMETRY_LOG_LEVEL": "INFO",
    }  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [COMMAND, "api", "--port", "0", *options], env=environment, stderr=log, text=True, cwd=folder
        )
    try:
        deadline = time.monotonic() + 120
        while not (found := re.search(r"^listening at (\S+)$", (folder / "log").read_text(), re.MULTILINE)):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield found[1], process
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Server:
    """A server that several tests talk to, with its folder and a submitter's token."""

    url: str
    folder: Path
    key: str
    store_url: str

    def submissions(self) -> int:
        with Store.open(self.store_url) as store:
            return len(Queue(store).listing())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    store_url = f"sqlite:///{folder / 'store.db'}"
    with Store.open(store_url) as store:
        key = tokens.create(store, "ann", "submitter")
    with serving(folder, store_url, "--upload-mib", "4", "--trusted-proxy", "127.0.0.1") as (url, _):
        yield Server(url, folder, key, store_url)


@pytest.fixture
def key(api_store: Store) -> str:
    """A token of a submitter, in a store of the test's own."""
    return tokens.create(api_store, "ann", "submitter")


def connect(url: str) -> socket.socket:
    host, port = url.split("/")[2].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=30)


def head(key: str, *lines: str) -> bytes:
    always = ("POST /api/v1/submissions HTTP/1.1", "Host: x", f"Authorization: Bearer {key}")
    return "\r\n".join([*always, "Content-Type: application/zip", *lines, "", ""]).encode()


def wait_until_filled(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while not list(folder.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_empty(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while list(folder.iterdir()):
        assert time.monotonic() < deadline, list(folder.iterdir())
        time.sleep(0.05)


@pytest.mark.slow
def test_a_server_answers_refuses_and_ends(tmp_path: Path, store_url: str, key: str) -> None:
    with serving(tmp_path, store_url) as (url, process):
        assert requests.get(f"{url}/health", timeout=30).json()["status"] == "ok"
        assert requests.get(f"{url}/me", timeout=30).status_code == 401
        headers = {"Authorization": f"Bearer {key}", "X-Forwarded-For": "192.0.2.7"}
        mine = requests.get(f"{url}/me", timeout=30, headers=headers)
        assert mine.json()["name"] == "ann"
        assert "server" not in mine.headers
        said = subprocess.run(
            [COMMAND, "api", "--port", url.split(":")[2].split("/")[0]],
            capture_output=True, text=True, env=os.environ | {"AUDIOMETRY_STORE": store_url}, check=False,
        )  # fmt: skip
        assert said.returncode == 2
        assert re.fullmatch(
            r"audiometry: cannot listen at 127.0.0.1, port \d+: Address already in use; give another with --port\n",
            said.stderr,
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    log = (tmp_path / "log").read_text()
    assert "GET /api/v1/me" in log
    assert "192.0.2.7" not in log  # else each request of a stranger could have an address, and a rate, of its own
    assert key not in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_too_much_is_refused_before_it_is_read(server: Server) -> None:
    scratch, key = server.folder / "scratch", server.key
    with connect(server.url) as line:  # it only says how much it would send
        line.sendall(head(key, f"Content-Length: {2**40}"))
        assert line.recv(1000).startswith(b"HTTP/1.1 413 ")
    with connect(server.url) as line:  # it says nothing, and goes over the 4 MiB before it comes to an end
        line.sendall(head(key, "Transfer-Encoding: chunked"))
        line.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        wait_until_filled(scratch)
        line.sendall((b"100000\r\n" + b"x" * 0x100000 + b"\r\n") * 4)
        assert line.recv(1000).startswith(b"HTTP/1.1 413 ")
    with connect(server.url) as line:  # a stranger is not listened to at all
        line.sendall(head("am_0", "Content-Length: 1000000"))
        assert line.recv(1000).startswith(b"HTTP/1.1 401 ")
    wait_until_empty(scratch)
    assert server.submissions() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["application/zip", "multipart/form-data; boundary=y"], ids=["raw", "form"]
)  # fmt: skip
def test_an_upload_that_breaks_off_leaves_nothing(server: Server, kind: str) -> None:
    with connect(server.url) as line:
        line.sendall(head(server.key, "Content-Length: 4000000").replace(b"application/zip", kind.encode()))
        line.sendall(b'--y\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + b"x" * 3_000_000)
        wait_until_filled(server.folder / "scratch")
    wait_until_empty(server.folder / "scratch")
    assert server.submissions() == 0
    assert requests.get(f"{server.url}/health", timeout=30).status_code == 200
    assert "Traceback" not in (server.folder / "log").read_text()


@pytest.mark.slow
def test_a_proxy_that_is_named_is_believed(server: Server) -> None:
    headers = {"X-Forwarded-For": "192.0.2.7"}
    assert requests.get(f"{server.url}/health", timeout=30, headers=headers).status_code == 200
    assert re.search(r"192\.0\.2\.7:\d+ - .GET /api/v1/health", (server.folder / "log").read_text())


def run(*words: str) -> int:
    return cli.main(list(words))


def test_the_token_commands(store_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("token", "create", "Ann <b>", "--role", "submitter", "--expires", "30d") == 0
    text = capsys.readouterr().out.strip()
    with Store.open(store_url) as store:
        actor = tokens.verify(store, text)
        (made,) = tokens.listing(store)
    assert (actor.name, actor.role) == ("Ann <b>", "submitter")
    assert made.expires is not None
    assert (made.expires - made.created).days in (29, 30)
    assert run("token", "list", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["name"], shown["revoked"]) == (actor.token, "Ann <b>", None)
    assert shown["last_used"] is not None
    assert run("token", "revoke", text) == 0
    assert capsys.readouterr().err == f'revoked {actor.token} of "Ann <b>" (submitter)\n'
    assert run("token", "create", "old", "--role", "viewer", "--expires", "never") == 0
    capsys.readouterr()
    assert run("token", "list") == 0
    table = capsys.readouterr()
    assert "revoked" in table.out + table.err
    assert "never" in table.out + table.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "x", "--role", "root"], "there is no role 'root'; take one of: viewer, submitter"),
        (["create", "x", "--role", "viewer", "--expires", "soon"], "'soon' is no life of a token"),
        (["create", "", "--role", "viewer"], "a token's name is one line"),
        (["revoke", "abc"], "there is no token 'abc'; list them with: audiometry token list"),
        (["revoke", "am_"], "there is no token ''; list them"),
    ],
)
def test_token_commands_that_cannot_be(
    store_url: str, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run("token", *words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "no such host"], "--host 'no such host' is no address of this machine"),
        (["--store", "mysql://x/y"], "'mysql' is not supported"),
        (["--store", "sqlite:////proc/x/y.db"], "its folder cannot be made"),
    ],
)
def test_a_server_that_cannot_start_says_why(
    store_url: str, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run("api", "--port", "0", *words) == 2
    assert said in capsys.readouterr().err


def test_without_its_packages_it_says_what_to_install(
    store_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "audiometry.leaderboard.api.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run("api", "--port", "0") == 2
    assert "install it with: pip install 'audiometry[server]'" in capsys.readouterr().err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def examples() -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


@pytest.mark.slow
def test_the_examples_of_the_page_work_as_written(
    tmp_path: Path, store_url: str, add_run: Callable[..., Path], usual_texts: dict[str, Any]
) -> None:
    """Only the port is another: the one of the page may be taken."""
    tasks = [{
        "name": "wer-asterisk-en", "spec": "wer-asterisk-en", "version": "1", "samples": 12, "digest": "d1",
        "settings": {"corpus": "asterisk-en", "normaliser": "whisper-english-1"}, "notes": [], "metrics": [],
    }]  # fmt: skip
    for run_id, model in (("20261122-155501-ab12cd34", "poor"), ("20261123-101500-cd34ab12", "also-good")):
        measured_as_another_task(
            add_run({model: usual_texts[model]}, run_id=run_id, fingerprint=run_id, settings={}), tasks, store_url
        )
    script = f"set -euo pipefail\ntrap 'kill %1; wait' EXIT\n{examples()}".replace("8600", str(free_port()))
    environment = os.environ | {
        "AUDIOMETRY_STORE": store_url, "AUDIOMETRY_HOME": str(tmp_path / "home"),
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False, timeout=240
    )  # fmt: skip
    assert done.returncode in (0, 143), done.stdout + done.stderr
    for expected in (
        '"status":"ok"', '"name":"a reader"', '"token":"am_', '"state":"queued"', '"submissions":[', '"value":',
        '"id":"20261123-101500-cd34ab12"', '"verdict":"better"', '"action":"submitted"',
    ):  # fmt: skip
        assert expected in done.stdout, expected
    assert len(pd.read_parquet(tmp_path / "results.parquet")) == 8
    with Store.open(store_url) as store:
        assert [one.state for one in Queue(store).listing(submitter="Ann Example")] == ["queued", "queued"]


def measured_as_another_task(folder: Path, tasks: list[dict[str, Any]], store_url: str) -> None:
    """Let the run in `folder` be one of a task that is installed, with the counts that this one needs."""
    from audiometry.benchmark.runfolder import read_results

    scores = pd.read_parquet(folder / "scores.parquet")
    scores["task"] = tasks[0]["name"]
    scores["count.errors"] = scores[[f"count.{kind}" for kind in ("substitutions", "deletions", "insertions")]].sum(
        axis="columns"
    )
    for name in [name for name in scores if str(name).startswith("count.")]:
        scores[str(name).replace("count.", "count.character_")] = scores[name]
    scores.to_parquet(folder / "scores.parquet")
    run = json.loads((folder / "run.json").read_text()) | {"tasks": tasks, "timings": []}
    results = [
        type(one)(**{**{name: getattr(one, name) for name in one.__slots__}, "task": tasks[0]["name"]})
        for one in read_results(folder)
    ]
    with Store.open(store_url) as store:
        store.add_run(run, results, str(folder))
