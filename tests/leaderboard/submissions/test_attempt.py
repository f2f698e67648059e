"""One attempt: the real command line in a real box, what it may see, how it ends, and what is published of it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile

from audiometry.benchmark.errors import UnknownNameError
from audiometry.benchmark.store import Store
from audiometry.leaderboard.submissions import attempt as module
from audiometry.leaderboard.submissions.artefacts import ArtefactStore
from audiometry.leaderboard.submissions.attempt import AttemptError, Setting, run_suite
from audiometry.leaderboard.submissions.checks import Checked, FileFact
from audiometry.leaderboard.submissions.errors import SubmissionError
from audiometry.leaderboard.submissions.isolation import REFUSED, Box, RunLimits
from audiometry.leaderboard.submissions.manifest import Manifest
from audiometry.leaderboard.submissions.published import Expected
from audiometry.leaderboard.submissions.queue import Queue
from audiometry.leaderboard.submissions.worker import Worker

PLUGIN = str(Path(__file__).with_name("prying.py"))
NAME = "<b>mine</b>, & yours"


@pytest.fixture
def clips(home: Path) -> Path:
    """The prepared corpus of the plug-in's task."""
    folder = home / "corpora" / "prying"
    folder.mkdir(parents=True)
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", np.sin(np.arange(16000) * (0.01 + number / 100)) / 4, 16000)
    return folder


@pytest.fixture
def store(clips: Path) -> Iterator[Store]:
    del clips
    with Store.open() as opened:
        yield opened


def queued(store: Store, tmp_path: Path, adapter: str, **settings: Any) -> str:
    """A queued submission with one file, whose adapter is the plug-in's."""
    folder = tmp_path / "checkpoint"
    (folder / "ckpt").mkdir(parents=True)
    (folder / "ckpt" / "weights.txt").write_text("weights")
    content = b"weights"
    fact = FileFact("ckpt/weights.txt", len(content), hashlib.sha256(content).hexdigest())
    manifest = Manifest(NAME, adapter, {"path": "./ckpt", **settings}, "MIT", (), "ada@example.org", "prying-suite")
    checked = Checked(manifest, (fact,), "d" * 64, ())
    ArtefactStore().put(folder, checked)
    queue = Queue(store)
    document = {**manifest.as_document(), "warnings": ["trained on what is asked here"]}
    one = queue.receive(NAME, "ada", "prying-suite", document)
    queue.checked(one, checked.digest, [asdict(fact)])
    queue.queued(one)
    return one


@pytest.mark.slow
def test_a_checkpoint_is_run_in_a_box_and_its_results_are_published(
    home: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUDIOMETRY_TOKEN", "AWS_SECRET_ACCESS_KEY", "AUDIOMETRY_STORE_PASSWORD", "SOMETHING_ELSE"):
        monkeypatch.setenv(name, "a-secret-of-mine")
    secret = tmp_path / "secret"
    secret.write_text("a-secret-of-mine")
    secret.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = queued(store, tmp_path, "prying", port=server.getsockname()[1], secret=str(secret))
        worker = Worker(
            Queue(store), partial(run_suite, setting=Setting(ArtefactStore(), plugins=(PLUGIN,))), lease_seconds=4.0
        )
        assert worker.work(once=True) == 1
    done = Queue(store).get(one)
    assert done.state == "verified", done.reason
    assert done.run_id is not None
    run = store.run(done.run_id)
    assert run["models"][0]["name"] == NAME
    assert run["models"][0]["spec"].startswith("prying:path=ckpt,port=")
    assert run["submission"] == {
        "submission": one, "digest": "d" * 64, "isolation": "no network, namespaces of its own",
    }  # fmt: skip
    frame = store.results(slice="all")
    assert list(frame["model"]) == [NAME]
    assert list(frame["origin"]) == ["verified"]
    assert frame["notes"][0][-1] == "trained on what is asked here"
    folder = Path(run["folder"])
    assert folder == home / "runs" / done.run_id
    outputs = pd.read_parquet(folder / "outputs.parquet")
    assert set(outputs["model"]) == set(pd.read_parquet(folder / "scores.parquet")["model"]) == {NAME}
    assert sorted(outputs["audio"]) == [str(home / "corpora" / "prying" / f"{number}.wav") for number in range(4)]
    (made,) = set(outputs["audio_out"])
    assert hashlib.sha256((home / "artefacts" / made).read_bytes()).hexdigest() == Path(made).stem
    told = json.loads(outputs["text"][0])
    values, names = told.pop("values"), told.pop("environment")
    assert "a-secret-of-mine" not in values
    assert str(home) not in values
    assert not {"AUDIOMETRY_TOKEN", "AWS_SECRET_ACCESS_KEY", "SOMETHING_ELSE"} & set(names)
    assert told == {
        "file": "weights", "over file": "Read-only file system", "corpus": [f"{number}.wav" for number in range(4)],
        "into corpus": "Read-only file system", "host": "Connection refused", "outside": "Network is unreachable",
        "secret": "No such file or directory", "uid": 65534 if os.geteuid() == 0 else os.getuid(),
    }  # fmt: skip
    assert "audiometry-submission-" not in json.dumps(run | {"hardware": None, "versions": None})
    assert [event.state for event in Queue(store).events(one)].count("verified") == 1


@pytest.mark.slow
def test_a_checkpoint_that_does_not_load_is_rejected_with_the_reason(store: Store, tmp_path: Path) -> None:
    one = queued(store, tmp_path, "never-born")
    worker = Worker(Queue(store), partial(run_suite, setting=Setting(ArtefactStore(), plugins=(PLUGIN,))))
    assert worker.work(once=True) == 1
    done = Queue(store).get(one)
    assert done.state == "rejected"
    assert "the weights in ckpt are of another shape" in done.reason
    assert len(store.runs()) == 0
    assert not list((tmp_path / "home" / "runs").glob("*"))


def test_a_worker_that_cannot_run_the_suite_gives_back_and_ends(store: Store, tmp_path: Path, clips: Path) -> None:
    one = queued(store, tmp_path, "prying")
    for clip in clips.iterdir():
        clip.unlink()
    worker = Worker(Queue(store), partial(run_suite, setting=Setting(ArtefactStore(), plugins=(PLUGIN,))))
    with pytest.raises(Exception, match="4 audio files are missing"):
        worker.work(once=True)
    assert (Queue(store).get(one).state, Queue(store).get(one).attempts) == ("queued", 0)


def test_a_suite_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match="no-such-suite"):
        module.expected("no-such-suite")


def ended(tmp_path: Path, text: str, tell: module.Tell = lambda *_: None, **limits: Any) -> None:
    """Run a Python text as if it were the suite, without a box."""
    box = Box(limits=RunLimits(**limits), network=True)
    asked = Expected({"one": {"samples": 4}}, {})
    module._run(
        [sys.executable, "-c", text], box, tmp_path, module._Counter(tmp_path / "journal.jsonl", asked), tell
    )  # fmt: skip


def test_how_it_ended_says_whose_fault_it_was(tmp_path: Path) -> None:
    ended(tmp_path, "pass")
    said = f"print('noise\\naudiometry: no file {tmp_path}/submission/ckpt/x', file=sys.stderr)"
    with pytest.raises(SubmissionError, match=r"^the run failed: no file ckpt/x$"):
        ended(tmp_path, f"import sys; {said}; sys.exit(2)")
    with pytest.raises(AttemptError, match=r"^the run ended with exit code 2: no word of ours$"):
        ended(tmp_path, "import sys; print('no word of ours', file=sys.stderr); sys.exit(2)")
    with pytest.raises(AttemptError, match=r"^the run ended with exit code 1: no message$"):
        ended(tmp_path, "raise SystemExit(1)")
    with pytest.raises(AttemptError, match=r"^the kernel refuses the isolation$"):
        ended(tmp_path, f"raise SystemExit({REFUSED})")


def test_more_time_or_memory_than_allowed(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"took more than 0.01 minutes"):
        ended(tmp_path, "import time; time.sleep(60)", seconds=0.6)
    text = "import subprocess, sys, time; held = bytearray(b'x') * 2**28; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", text], start_new_session=True)
    asked = Expected({"one": {"samples": 4}}, {})
    with pytest.raises(SubmissionError, match=r"took 0.[2-9] GiB of memory, more than 0.1; submit a smaller"):
        module._watch(
            process, RunLimits(memory=2**27), module._Counter(tmp_path / "none", asked), lambda *_: None, tmp_path
        )  # fmt: skip
    module._end(process)
    assert process.returncode == -9


WRITES = {
    "much": ("open('a', 'wb').write(bytes([1]) * 2**24); time.sleep(60)", "wrote more than 0.00390625 GiB"),
    "much in deleted files": (
        "held = [open(str(i), 'wb+') for i in range(8)]\n"
        "for i, one in enumerate(held): os.remove(str(i)); one.write(bytes([1]) * 2**21); one.flush()\n"
        "time.sleep(60)",
        "wrote more than 0.00390625 GiB",
    ),
    "many files": ("[open(str(i), 'w') for i in range(200)]; time.sleep(60)", "made more than 100 files"),
    "many folders": ("[os.mkdir(str(i)) for i in range(200)]; time.sleep(60)", "made more than 100 files"),
    "deep": (
        "for _ in range(30): os.mkdir('x' * 200); os.chdir('x' * 200)\ntime.sleep(60)", "cannot be looked",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRITES)
def test_more_on_the_disk_than_allowed(tmp_path: Path, what: str) -> None:
    text, reason = WRITES[what]
    (tmp_path / "submission").mkdir()
    (tmp_path / "submission" / "weights").write_bytes(bytes([1]) * 2**24)  # what it was given is not what it wrote
    with pytest.raises(SubmissionError, match=reason):
        ended(tmp_path, f"import os, time\n{text}", disk=2**22, files=100)


def test_a_run_that_writes_little_is_let_be(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/")
    text = "import time; open('a', 'w').truncate(2**30); time.sleep(4); open('end', 'w')"
    ended(tmp_path, text, disk=2**22, files=100)
    assert (tmp_path / "end").is_file()  # a gigabyte without a block, and a link to everything, are not counted


def test_whoever_is_told_may_end_it(tmp_path: Path) -> None:
    class Enough(Exception):  # noqa: N818
        pass

    def tell(*_: object) -> None:
        raise Enough

    word = f"told-{os.getpid()}"
    began = time.monotonic()
    child = [sys.executable, "-c", "import time; time.sleep(60)", word]
    text = f"import subprocess, time; subprocess.Popen({child}); time.sleep(60)"
    with pytest.raises(Enough):
        ended(tmp_path, text, tell)
    assert time.monotonic() - began < 30
    assert not [one for one in psutil.process_iter(["cmdline"]) if word in (one.info["cmdline"] or [])]


def test_progress_is_read_from_the_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    counter = module._Counter(journal, Expected({"one": {"samples": 3}, "other": {"samples": 5}}, {}))
    assert counter.look() == (None, None)
    journal.write_bytes(b"")
    assert counter.look() == (0.0, None)
    journal.write_bytes(b"[1]\n[2]\n[3")
    share, left = counter.look()
    assert share == 0.25
    assert left is not None
    assert left > 0
    with journal.open("ab") as file:
        file.write(b"]\n[4]\n")
    assert counter.look()[0] == 0.5
    journal.unlink()
    assert counter.look() == (1.0, 0.0)
    other = module._Counter(tmp_path / "link", Expected({"one": {"samples": 3}}, {}))
    (tmp_path / "link").symlink_to("/dev/zero")
    assert other.look() == (None, None)
