"""``audiometry submit``, ``submissions`` and ``import``, on a store of this machine and over HTTP."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn

from audiometry.benchmark.cli import main
from audiometry.benchmark.errors import UserError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import tokens
from audiometry.leaderboard.api.app import create_app
from audiometry.leaderboard.api.limits import ApiLimits
from audiometry.leaderboard.submissions import submit_command
from audiometry.leaderboard.submissions.checks import check_folder
from audiometry.leaderboard.submissions.client import Server, pack
from audiometry.leaderboard.submissions.limits import Limits
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.models.baselines.saved import weights_file

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(home: Path, capfd: pytest.CaptureFixture[str]) -> Say:
    """Runs a command: its exit code, what it printed, and what it said on stderr."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "ckpt"
    made.mkdir()
    shutil.copy(weights_file("lfcc-gmm"), made / "weights.safetensors")
    (made / "audiometry.yaml").write_text(
        "name: <img src=x onerror=alert(1)>\nadapter: lfcc-gmm\nsettings: {path: ./weights.safetensors}\nlicence: MIT\n"
        "training_data: [asterisk-en]\ncontact: me@example.org\nsuite: smoke\n"
    )
    return made


@pytest.fixture
def local(home: Path) -> Iterator[Queue]:
    """The queue of the store in the home folder."""
    home.mkdir(exist_ok=True)
    with Store.open() as store:
        yield Queue(store)


def test_a_folder_is_submitted_listed_and_shown(say: Say, folder: Path, local: Queue) -> None:
    code, out, err = say("submit", folder, "--submitter", "ada")
    assert code == 0
    assert "warning: declared training data 'asterisk-en'" in err
    made = out.partition(":")[0]
    assert out == f"{made}: queued\n"
    code, out, err = say("submissions")
    assert (code, err) == (0, "")
    assert "<img src=x onerror=alert(1)>" in out
    assert made in out
    code, out, _ = say("submissions", made, "--json")
    shown = json.loads(out)
    assert (shown["state"], shown["submitter"], len(shown["files"])) == ("queued", "ada", 2)
    assert [event["state"] for event in shown["events"]] == ["received", "checked", "queued"]
    code, out, _ = say("submissions", made)
    assert "checked" in out
    assert json.loads(say("submissions", "--state", "verified", "--json")[1]) == {"submissions": []}
    assert say("submissions", "--state", "done")[0] == 2
    assert say("submissions", "nobody")[0] == 2


def test_a_check_alone_submits_nothing(say: Say, folder: Path, local: Queue) -> None:
    code, out, err = say("submit", folder, "--check")
    assert (code, out) == (0, "")
    assert "it may be submitted" in err
    assert local.listing() == []


def test_a_refusal_is_one_line_and_exit_code_2(say: Say, folder: Path, local: Queue) -> None:
    (folder / "run.py").write_text("print()")
    code, out, err = say("submit", folder)
    assert (code, out) == (2, "")
    assert err == "audiometry: 'run.py' is code, and a submission's code is never run; leave it out\n"
    assert [one.state for one in local.listing()] == ["rejected"]
    assert "is code" in say("submissions")[1]


def test_waiting_ends_with_the_submission(
    say: Say, folder: Path, local: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = iter(["take", "tell", "reject"])

    def sleep(_: float) -> None:
        match next(steps):
            case "take":
                assert local.lease("w", 60.0) is not None
            case "tell":
                (one,) = local.listing()
                assert local.heartbeat(one.id, "w", 60.0, progress=0.42, eta_seconds=190.0)
            case "reject":
                (one,) = local.listing()
                local.reject(one.id, "the model\x1b[2J answered nothing")

    monkeypatch.setattr(submit_command.time, "sleep", sleep)
    code, out, err = say("submit", folder, "--wait")
    assert code == 2
    made = out.partition(":")[0]
    assert out == f"{made}: rejected\n"
    told = [line.partition(": ")[2] for line in err.splitlines() if line.startswith(made)]
    assert told == ["queued", "running", "running, 42 %, about 4 min left"]
    assert "audiometry: rejected: the model" in err
    assert "\x1b" not in err + say("submissions")[1]


def test_files_are_pruned(say: Say, folder: Path, local: Queue, home: Path) -> None:
    made = say("submit", folder)[1].partition(":")[0]
    local.reject(made, "no")
    for path in (home / "submissions").rglob("*"):
        os.utime(path, (0, 0))
    assert say("submissions", "--prune") == (0, "2 files deleted\n", "")


def test_a_long_name_is_cut_where_it_is_listed(say: Say, folder: Path, local: Queue) -> None:
    manifest = (folder / "audiometry.yaml").read_text()
    (folder / "audiometry.yaml").write_text(manifest.replace("<img src=x onerror=alert(1)>", "x" * 10_000))
    assert say("submit", folder)[0] == 0
    assert len(max(say("submissions")[1].splitlines(), key=len)) < 400


def test_a_run_folder_is_imported(say: Say, usual_run: Path, store_url: str) -> None:
    code, out, _ = say("import", usual_run, "--store", store_url)
    assert code == 0
    with Store.open(store_url) as store:
        assert out.strip() in set(store.results(latest=False)["run"])
    code, _, err = say("import", usual_run.parent, "--store", store_url)
    assert code == 2
    assert "holds no run" in err


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Store]]:
    """A real server of the HTTP interface, and the store behind it; AUDIOMETRY_TOKEN is a submitter's."""
    url = f"sqlite:///{tmp_path / 'server.db'}"
    with Store.open(url) as store:
        monkeypatch.setenv("AUDIOMETRY_TOKEN", tokens.create(store, "ada", "submitter"))
        limits = ApiLimits(submission=Limits(archive_bytes=10**6))
        app = create_app(url, str(tmp_path / "server-artefacts"), limits=limits)
        running = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none"))
        thread = threading.Thread(target=running.run)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", store
        running.should_exit = True
        thread.join()


def test_a_folder_is_submitted_to_a_server(say: Say, folder: Path, server: tuple[str, Store]) -> None:
    url, store = server
    code, out, err = say("submit", folder, "--server", url)
    assert (code, err.count("\n")) == (0, 1)
    made = Queue(store).get(out.partition(":")[0])
    assert (made.state, made.submitter, made.name) == ("queued", "ada", "<img src=x onerror=alert(1)>")
    assert made.digest == check_folder(folder).digest
    assert json.loads(say("submissions", "--server", url, "--json")[1])["submissions"][0]["id"] == made.id
    shown = json.loads(say("submissions", made.id, "--server", url, "--json")[1])
    assert [event["state"] for event in shown["events"]] == ["received", "checked", "queued"]
    assert say("submissions", made.id, "--server", f"{url}/api/v1")[0] == 0


def test_waiting_for_a_server(
    say: Say, folder: Path, server: tuple[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, store = server
    queue = Queue(store)
    monkeypatch.setattr(submit_command.time, "sleep", lambda _: queue.reject(queue.listing()[0].id, "no"))
    code, _, err = say("submit", folder, "--server", url, "--wait")
    assert code == 2
    assert "rejected: no" in err


def test_a_server_refuses_what_is_too_large_and_what_has_no_right(
    say: Say, folder: Path, server: tuple[str, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, store = server
    shutil.copy(weights_file("whisper-encoder-head"), folder / "more.safetensors")
    code, out, err = say("submit", folder, "--server", url)
    assert (code, out) == (2, "")
    assert "audiometry: " in err
    assert Queue(store).listing() == []
    (folder / "more.safetensors").unlink()
    monkeypatch.setenv("AUDIOMETRY_TOKEN", "am_0000000000000000_wrong")
    code, _, err = say("submit", folder, "--server", url)
    assert code == 2
    assert "127.0.0.1: " in err
    monkeypatch.delenv("AUDIOMETRY_TOKEN")
    code, _, err = say("submissions", "--server", url)
    assert code == 2
    assert "set AUDIOMETRY_TOKEN" in err


def test_a_bad_folder_is_not_sent(say: Say, folder: Path, server: tuple[str, Store]) -> None:
    url, store = server
    (folder / "extra.pt").write_bytes(b"\x80\x04.")
    code, _, err = say("submit", folder, "--server", url)
    assert code == 2
    assert "a Python pickle" in err
    assert Queue(store).listing() == []


@pytest.mark.parametrize(
    "url", ["ftp://x", "https://", "https://user@host", "https://host:port", "https://h?x=1", "http://[::1"]
)
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UserError, match="--server"):
        Server(url, "am_x")


def test_a_token_does_not_go_over_a_network_unencrypted(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMETRY_TOKEN", "am_x")
    code, _, err = say("submissions", "--server", "http://board.invalid:9")
    assert code == 2
    assert "the token would go over the network unencrypted" in err
    code, _, err = say("submissions", "--server", "board.invalid")
    assert code == 2
    assert "cannot reach the server board.invalid" in err
    assert "am_x" not in err


class Strange(http.server.BaseHTTPRequestHandler):
    """A server of something else, which sends whoever asks elsewhere."""

    def do_GET(self) -> None:
        self.send_response(302 if "sub" in self.path else 200)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_another_kind_of_server_is_told_and_no_redirect_followed(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMETRY_TOKEN", "am_x")
    with http.server.HTTPServer(("127.0.0.1", 0), Strange) as strange:
        threading.Thread(target=strange.handle_request).start()
        code, _, err = say("submissions", "--server", f"http://127.0.0.1:{strange.server_port}")
    assert code == 2
    assert "answered 302 and nothing that is understood" in err


def test_only_checked_files_are_packed(folder: Path, tmp_path: Path) -> None:
    checked = check_folder(folder)
    (folder / "later.txt").write_text("x")
    with (tmp_path / "made.zip").open("wb") as archive:
        pack(folder, checked, archive)
    with zipfile.ZipFile(tmp_path / "made.zip") as packed:
        assert sorted(packed.namelist()) == ["audiometry.yaml", "weights.safetensors"]
        assert packed.getinfo("weights.safetensors").compress_type == zipfile.ZIP_STORED
