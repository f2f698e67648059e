"""``audiometry serve``: what it tells Streamlit, and how it complains before anything is started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from audiometry.benchmark.errors import StoreError, UserError
from audiometry.leaderboard import command
from audiometry.leaderboard.submissions.artefacts import ArtefactStore


def run(*words: str) -> object:
    """Run ``serve`` as the command line does, errors raised."""
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return CliRunner().invoke(app, ["serve", *words], catch_exceptions=False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, store_url: str) -> list[list[str]]:
    """What Streamlit was started with; it is not started."""
    from streamlit.web import cli
    from streamlit.web.server.starlette import starlette_app, starlette_server

    # the command sets these; this has them set back
    monkeypatch.setenv("AUDIOMETRY_ARTEFACTS", "")
    monkeypatch.setattr(starlette_server, "_bind_socket", starlette_server._bind_socket)
    monkeypatch.setattr(starlette_app, "create_upload_routes", starlette_app.create_upload_routes)
    calls: list[list[str]] = []
    monkeypatch.setattr(cli, "main", lambda args, **_: calls.append(args))
    return calls


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_streamlit_is_told_where_to_listen_and_to_send_nothing(started: list[list[str]], tmp_path: Path) -> None:
    port = free_port()
    url = f"sqlite:///{tmp_path / 'other.db'}"
    run("--port", str(port), "--store", url, "--artefacts", str(tmp_path / "kept"))
    ((words),) = started
    assert words[0] == "run"
    assert Path(words[1]).name == "app.py"
    assert Path(words[1]).is_file()
    assert {
        f"--server.port={port}", "--server.address=127.0.0.1", "--server.headless=true",
        "--browser.gatherUsageStats=false",
    } <= set(words)  # fmt: skip
    assert os.environ["AUDIOMETRY_STORE"] == url
    assert (tmp_path / "other.db").is_file()
    assert ArtefactStore().url == str(tmp_path / "kept")


def test_small_answers_are_sent_at_once(started: list[list[str]]) -> None:
    from streamlit.web.server.starlette import starlette_server

    run("--port", str(free_port()))
    with (
        starlette_server._bind_socket("127.0.0.1", 0, 8) as listening,
        socket.create_connection(listening.getsockname()) as reader,
    ):
        listening.setblocking(True)
        answering, _ = listening.accept()
        with answering:
            assert answering.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not reader.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_streamlit_knows_every_option_that_it_is_told() -> None:
    from streamlit import config

    known = config.get_config_options()
    for word in command.streamlit_arguments("127.0.0.1", 8501)[2:]:
        assert word.removeprefix("--").partition("=")[0] in known


def test_a_store_that_cannot_be_opened_is_told_before_anything_starts(started: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        run("--store", f"sqlite:///{tmp_path}")
    assert started == []


def test_a_port_that_is_taken(started: list[list[str]]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen at 127.0.0.1, port {port}: .*; give another with --port"):
            run("--port", str(port))
    assert started == []


@pytest.mark.parametrize("host", ["256.256.256.256", "no.such.host.invalid"])
def test_a_host_that_is_none(started: list[list[str]], host: str) -> None:
    with pytest.raises(UserError, match="is no address of this machine; give 127"):
        run("--host", host, "--port", str(free_port()))
    assert started == []


def test_without_streamlit_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streamlit.web.cli", None)
    with pytest.raises(UserError, match=r"pip install 'audiometry\[board\]'"):
        run()


def test_help_has_examples() -> None:
    text = run("--help").output  # type: ignore[attr-defined]
    for part in ("Examples:", "audiometry serve --port 8600", "--host", "--store"):
        assert part in text


def test_importing_the_command_is_light() -> None:
    heavy = "{'streamlit', 'plotly', 'pandas', 'sqlalchemy', 'pyarrow', 'numpy'}"
    code = f"import sys, audiometry.leaderboard.command; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
