"""From a folder to a verified row, as a submitter has it: the page in a real Chromium, and a real worker.

And everything that must be refused there, with a reason that is shown, nothing executed and nothing left behind.
"""

from __future__ import annotations

import io
import os
import pickle
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from browsing import Reader, served
from playwright.sync_api import Browser, Page, expect

import audiometry.models.baselines
from audiometry.benchmark.schema import TOKENS
from audiometry.benchmark.store import Store
from audiometry.leaderboard.api import audit, tokens
from audiometry.leaderboard.sign_in import UPLOAD_MEBIBYTES
from audiometry.leaderboard.submissions.isolation import refusal
from audiometry.leaderboard.submissions.queue import Queue

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 180_000
"""Milliseconds: a worker's run beside a browser keeps a small machine busy."""

EVIL = "<img src=x onerror=alert(1)>"
LONG = "x" * 10_000
WEIGHTS = Path(audiometry.models.baselines.__file__).parent / "weights" / "lfcc-gmm.safetensors"

WORKED_ON_IN = (".incoming-", "audiometry-page-", "audiometry-submission-", "audiometry-upload-", "audiometry-probe-")
"""What the names of folders begin with that an upload, or a run of it, is worked on in; they are gone afterwards."""

# A suite of one small task, for the server that checks what it is asked and for the worker that runs it.
PLUGIN = '''
from audiometry.benchmark.registry import suite, task
from audiometry.benchmark.types import Audio, Suite, Task
from audiometry.tasks.corpora.rows import BONA_FIDE, SPOOF, SpoofingTrial
from audiometry.tasks.spoof import spoof_task

FOLDER = {folder!r}

def trials():
    return [
        SpoofingTrial(
            f"clip-{{i:02d}}", Audio(f"{{FOLDER}}/clip-{{i:02d}}.wav", seconds=2.0),
            SPOOF if i % 2 else BONA_FIDE, "hum" if i % 2 else "",
        )
        for i in range(24)
    ]

@task("hum-trials")
def hum_trials() -> Task:
    """Noise against hums."""
    return spoof_task(name="hum-trials", trials=trials)

@suite("hum")
def hum() -> Suite:
    """One task."""
    return Suite("1", {{"hum-trials": 1.0}})
'''

WITH_PLUGIN = """
import sys
from audiometry.benchmark.registry import load_plugin_file
load_plugin_file(sys.argv.pop(1))
from audiometry.benchmark.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Place:
    """A board of its own: where it is, what it keeps, and where it would leave something behind."""

    address: str
    store: str
    home: Path
    scratch: Path
    plugin: Path
    environment: Mapping[str, str]

    def token(self, role: str = "submitter") -> str:
        with Store.open(self.store) as store:
            return tokens.create(store, f"Ada ({role})", role)

    def kept(self) -> list[Path]:
        """What a submission left, in the artefact store and where it was unpacked: files, links, and our folders."""
        folders = (self.home / "submissions", self.scratch)
        return [path for folder in folders for path in folder.rglob("*") if not path.is_dir() or ours(path)]


def ours(path: Path) -> bool:
    """Whether it is a link, or a folder that an upload is worked on in."""
    return path.is_symlink() or path.name.startswith(WORKED_ON_IN)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """``audiometry serve`` with the suite of this test."""
    root = tmp_path_factory.mktemp("board")
    home, scratch, plugin = root / "home", root / "scratch", root / "hum_suite.py"
    sounds = home / "corpora" / "hum"
    sounds.mkdir(parents=True)
    scratch.mkdir()
    plugin.write_text(PLUGIN.format(folder=str(sounds)))
    _sounds(sounds)
    store = f"sqlite:///{root / 'store.db'}"
    environment = os.environ | {"AUDIOMETRY_HOME": str(home), "AUDIOMETRY_STORE": store, "TMPDIR": str(scratch)}
    command = [sys.executable, "-c", WITH_PLUGIN, str(plugin), "serve"]
    # "am_": no token may stand in the log
    with served(lambda port: [*command, "--port", str(port)], environment, unsaid=["am_"]) as address:
        yield Place(address, store, home, scratch, plugin, environment)


def _sounds(folder: Path) -> None:
    import numpy as np
    import soundfile

    for i in range(24):
        generator = np.random.default_rng(i)
        time_axis = np.arange(32_000) / 16_000
        hum = np.sin(2 * np.pi * (120 + 5 * i) * time_axis)
        noise = generator.normal(0, 0.3, 32_000)
        soundfile.write(folder / f"clip-{i:02d}.wav", 0.3 * (hum if i % 2 else noise), 16_000)


@pytest.fixture
def reader(browser: Browser, place: Place) -> Iterator[Any]:
    opened = Reader(browser, place.address, patience=PATIENCE)
    yield opened
    opened.context.close()
    assert opened.wrong == []


@pytest.fixture
def token(place: Place) -> str:
    return place.token()


def manifest(name: str = "mine", **changes: str) -> str:
    lines = {
        "name": f"'{name}'", "adapter": "lfcc-gmm", "settings": "{path: ./weights.safetensors}", "licence": "CC-BY-4.0",
        "training_data": "[made hums]", "contact": "ada@example.org", "suite": "hum",
    }  # fmt: skip
    return "\n".join(f"{key}: {value}" for key, value in (lines | changes).items()) + "\n"


def packed(path: Path, text: str, **more: bytes) -> Path:
    """A zip with a manifest, the shipped detector's weights, and more."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("audiometry.yaml", text)
        archive.write(WEIGHTS, "weights.safetensors")
        for name, content in more.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def enter(page: Page, place: Place, token: str) -> None:
    page.goto(f"{place.address}/submissions")
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Sign in").click()


def submit(page: Page, archive: Path) -> None:
    box = page.locator("input[type=file]")
    expect(box).to_have_count(1, timeout=PATIENCE)  # the one before, which was handed in, is gone
    box.set_input_files(archive)
    expect(page.get_by_text(archive.name)).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Submit", exact=True).click()


def work(place: Place) -> None:
    """``audiometry worker --once``, in its box where this kernel makes one."""
    words = [sys.executable, "-m", "audiometry.benchmark.cli", "worker", "--once", "--plugin", str(place.plugin)]
    words += ["--allow-network"] if refusal() else []
    done = subprocess.run(words, env=place.environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def test_from_the_upload_to_verified_rows_whose_names_are_text(
    place: Place, token: str, reader: Any, tmp_path: Path
) -> None:
    page = reader.page
    enter(page, place, token)
    expect(page.get_by_text("Signed in as Ada (submitter)")).to_be_visible(timeout=PATIENCE)
    assert token not in page.content()
    assert token not in page.url
    for place_in_list, name in enumerate((EVIL, LONG)):
        submit(page, packed(tmp_path / f"model-{place_in_list}.zip", manifest(name)))
        expect(page.get_by_text("it waits for a worker.")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("table.am-table").first.locator("tbody tr")).to_have_count(place_in_list + 1)
    first = page.locator("table.am-table").first
    expect(first).to_contain_text("queued")
    work(place)
    expect(first.locator("td[data-name=State]")).to_have_text(["verified", "verified"], timeout=PATIENCE)
    expect(first).to_contain_text(EVIL)
    with Store.open(place.store) as store:
        results = store.results(metric="eer_macro", slice="all")
        entries = [(entry.actor, entry.action) for entry in audit.entries(store, action="submitted")]
    assert set(results["model"]) == {EVIL, LONG}
    assert set(results["origin"]) == {"verified"}
    assert entries == [("Ada (submitter)", "submitted")] * 2
    for name in ("", "ranking", "spoof", "detection", "samples", "submissions", "models"):  # the first is the overview
        page = reader.open(name, **({"model": EVIL} if name in ("samples", "models") else {}))
        reader.settle()
        if name == "samples":  # its only sight there is the box that chooses it
            expect(page.get_by_role("combobox", name="Model")).to_have_value(EVIL)
        else:
            expect(page.locator("body")).to_contain_text(EVIL)
        assert page.locator("img[onerror], [src=x]").count() == 0
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth <= window.innerWidth"), name
        if name in ("", "models"):
            expect(page.locator("body")).to_contain_text("verified")


def _pickle(marker: Path) -> bytes:
    class Payload:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return (os.system, (f"touch {marker}",))

    return pickle.dumps(Payload())


def _torch_zip(marker: Path) -> bytes:
    """What torch.save writes: a zip with a pickle in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", _pickle(marker))
    return content.getvalue()


def _bad(kind: str, path: Path, marker: Path) -> Path:
    if kind == "pickle":
        return packed(path, manifest(), model__bin=_pickle(marker))
    if kind == "pickle called safetensors":
        return packed(path, manifest(), more__safetensors=_torch_zip(marker))
    if kind == "bomb":
        return packed(path, manifest(), vocabulary__json=b'"' + b" " * 400_000_000 + b'"')
    packed(path, manifest())
    with zipfile.ZipFile(path, "a") as archive:
        if kind == "traversal":
            archive.writestr("../../outside.json", b"{}")
        else:
            link = zipfile.ZipInfo("link.safetensors")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
    return path


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("pickle", "model.bin"),
        ("pickle called safetensors", "more.safetensors"),
        ("bomb", "unpacks to more than"),
        ("traversal", "outside.json"),
        ("symlink", "is a link"),
    ],
)
def test_what_is_dangerous_is_refused_with_a_reason_and_leaves_nothing(
    place: Place, token: str, reader: Any, tmp_path: Path, kind: str, reason: str
) -> None:
    before, marker = set(place.kept()), tmp_path / "executed"
    page = reader.page
    enter(page, place, token)
    submit(page, _bad(kind, tmp_path / "bad.zip", marker))
    refused = page.locator(".am-callout.am-error")
    expect(refused).to_contain_text("Refused: ", timeout=PATIENCE)
    expect(refused).to_contain_text(reason)
    assert not marker.exists()
    assert set(place.kept()) == before
    assert not list(place.home.parent.rglob("outside.json"))
    with Store.open(place.store) as store:
        newest = Queue(store).listing(limit=1)[0]
        entry = audit.entries(store, action="submission refused", limit=1)[0]
    assert newest.state == "rejected"
    assert reason in newest.reason
    assert newest.run_id is None
    assert entry.subject == newest.id
    expect(page.locator("table.am-table").first.locator("tbody tr").first).to_contain_text(reason)


def test_an_upload_that_is_too_large_is_refused_before_it_is_sent(
    place: Place, token: str, reader: Any, tmp_path: Path
) -> None:
    large = tmp_path / "large.zip"
    with large.open("wb") as file:
        file.truncate(UPLOAD_MEBIBYTES * 2**20 + 1)
    page = reader.page
    enter(page, place, token)
    page.locator("input[type=file]").set_input_files(large)
    expect(page.get_by_text(f"must be {UPLOAD_MEBIBYTES}")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_disabled()


def _expire(place: Place, token: str) -> None:
    with Store.open(place.store) as store, store.writing() as connection:
        past = datetime.now(UTC) - timedelta(hours=1)
        connection.execute(sa.update(TOKENS).where(TOKENS.c.id == token.split("_")[1]).values(expires=past))


def test_a_token_that_opens_nothing_says_why(place: Place, reader: Any) -> None:
    page, token = reader.page, place.token()
    enter(page, place, token[:-1] + ("a" if token[-1] != "a" else "b"))
    refused = page.locator(".am-callout.am-error")
    expect(refused).to_contain_text("Not signed in: this token is wrong", timeout=PATIENCE)
    expect(page.locator("input[type=file]")).to_have_count(0)
    _expire(place, token)
    page.get_by_label("Token", exact=True).fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(refused).to_contain_text("Not signed in: this token expired on", timeout=PATIENCE)
    expect(page.locator("input[type=file]")).to_have_count(0)


def test_a_token_that_expires_signs_out_before_anything_is_taken(place: Place, reader: Any, tmp_path: Path) -> None:
    page, token = reader.page, place.token()
    with Store.open(place.store) as store:
        before = len(Queue(store).listing(limit=1000))
    enter(page, place, token)
    page.locator("input[type=file]").set_input_files(packed(tmp_path / "late.zip", manifest("late")))
    expect(page.get_by_role("button", name="Submit", exact=True)).to_be_enabled(timeout=PATIENCE)
    _expire(place, token)
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_text("You were signed out: this token expired")).to_be_visible(timeout=PATIENCE)
    with Store.open(place.store) as store:
        assert len(Queue(store).listing(limit=1000)) == before


def test_who_may_only_read_is_told_so_and_signs_out(place: Place, reader: Any) -> None:
    page = reader.page
    enter(page, place, place.token("viewer"))
    expect(page.get_by_text("The role of this token, viewer, may not submit")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("input[type=file]")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Token", exact=True)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Signed in as")).to_have_count(0)


def test_nothing_is_left_in_the_place_for_temporary_files(place: Place) -> None:
    """After all of the above: neither an upload nor what was unpacked, nor an empty folder that it was in."""
    left = [str(path.relative_to(place.scratch)) for path in place.scratch.rglob("*")]
    assert [name for name in left if "audiometry" in name or ".incoming-" in name] == []
    assert shutil.which("chromium") is not None
