"""The leaderboard as a reader gets it: ``audiometry serve`` and a real Chromium."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from browsing import PATIENCE, Reader, served
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AddRun = Callable[..., Path]
NASTY = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "x" * 10_000)


@contextmanager
def serve(store: str) -> Iterator[str]:
    """Run ``audiometry serve`` on a store."""
    command = [sys.executable, "-m", "audiometry.benchmark.cli", "serve", "--store", store]
    with served(lambda port: [*command, "--port", str(port)]) as address:
        yield address


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store") / "store.db"


@pytest.fixture(scope="module")
def address(shared_store: Path) -> Iterator[str]:
    """One server for every test of this module: starting it takes seconds."""
    with serve(f"sqlite:///{shared_store}") as address:
        yield address


@pytest.fixture
def store_url(shared_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's store, empty again: a page opens it anew each time it is drawn."""
    for file in shared_store.parent.iterdir():
        file.unlink()
    url = f"sqlite:///{shared_store}"
    monkeypatch.setenv("AUDIOMETRY_STORE", url)
    return url


@pytest.fixture
def reader(browser: Browser, address: str) -> Iterator[Reader]:
    opened = Reader(browser, address)
    yield opened
    opened.context.close()
    assert opened.wrong == []


HEAR = """async () => {
  const audio = document.querySelector("audio");
  const answer = await fetch(audio.src);
  const bytes = await answer.arrayBuffer();
  audio.muted = true;
  await audio.play();
  await new Promise((done) => { audio.ontimeupdate = () => audio.currentTime > 0 && done(); });
  audio.pause();
  return { status: answer.status, length: bytes.byteLength, ready: audio.readyState, seconds: audio.duration,
           played: audio.currentTime, error: audio.error };
}"""


def test_from_the_ranking_to_a_sample_that_plays(usual_run: Path, reader: Reader) -> None:
    page = reader.open("ranking")
    table = page.locator("table.am-table")
    expect(table).to_be_visible()
    names = table.locator("tbody th[scope=row]").all_inner_texts()
    assert names == ["also-good", "good:beam=5", "poor", "oracle", "silent"]
    ranks = table.locator("td.am-rank").all_inner_texts()
    assert ranks == ["1-2", "1-2", "3", "–", "–"]
    expect(table.get_by_text("these speakers only").first).to_be_visible()
    expect(page.locator(".js-plotly-plot .errorbar").first).to_be_attached()
    ticks = page.locator(".js-plotly-plot .ytick text").all_text_contents()
    assert ticks == [name for name in reversed(names) if name not in ("oracle", "silent")]

    page.get_by_role("link", name="Samples").click()
    expect(page.locator("audio")).to_be_visible()
    reader.settle()
    heard = page.evaluate(HEAR)
    assert heard["status"] == 200
    assert heard["length"] > 1000
    assert heard["ready"] >= 1
    assert heard["seconds"] == pytest.approx(0.8, abs=1.2)
    assert heard["seconds"] > 0
    assert heard["played"] > 0
    assert heard["error"] is None
    expect(page.locator(".am-align").first).to_contain_text("said")

    page.get_by_role("link", name="Slices").click()
    expect(page.locator(".js-plotly-plot .errorbar").first).to_be_attached()
    expect(page.locator("table.am-table")).to_contain_text("short")


def test_a_model_s_link_leads_to_its_samples(usual_run: Path, reader: Reader) -> None:
    page = reader.open("ranking")
    page.get_by_role("link", name="poor").click()
    expect(page.locator("audio")).to_be_visible()
    assert "model=poor" in page.url
    expect(page.locator(".am-substitution, .am-deletion, .am-insertion").first).to_be_visible()


def test_a_filter_a_key_away_and_a_model_s_page(usual_run: Path, reader: Reader) -> None:
    """The box is reached and sent by keys alone; the model's name leads to its card."""
    page = reader.open()
    names = page.locator("table.am-table").first.locator("tbody th[scope=row]")
    expect(names).to_have_text(["also-good", "good:beam=5", "poor", "oracle", "silent"])
    page.get_by_label("Find a model").focus()
    page.keyboard.type("POO")
    page.keyboard.press("Enter")
    expect(names).to_have_text(["poor"])
    assert "find=POO" in page.url
    page.get_by_role("link", name="poor").click()
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    expect(page.locator("table.am-table").first).to_contain_text("Fingerprint")
    expect(page.locator(".js-plotly-plot .errorbar").first).to_be_attached()


def test_a_permanent_link_shows_the_same_sample(usual_run: Path, reader: Reader) -> None:
    page = reader.open("samples", task="wer-tones", model="poor", sample="clip-04", order="name")
    link = page.get_by_test_id("stCode").inner_text().strip()
    text = page.locator(".am-align").first.inner_text()
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".am-align").first).not_to_have_text(text, use_inner_text=True)
    page.goto(link)
    expect(page.locator(".am-align").first).to_have_text(text, use_inner_text=True)
    page.go_back()
    expect(page.locator(".am-align").first).not_to_have_text(text, use_inner_text=True)


def test_downloads_are_the_rows_of_the_page(usual_run: Path, reader: Reader) -> None:
    page = reader.open("ranking")
    reader.settle()
    with page.expect_download() as started:
        page.get_by_text("Download CSV").click()
    lines = Path(started.value.path()).read_text().splitlines()
    assert started.value.suggested_filename == "ranking_wer-tones.csv"
    assert len(lines) == 1 + 5
    assert lines[1].startswith("1-2,also-good,")


@pytest.mark.parametrize("page_name", ["", "heat", "models", "compare", "ranking", "slices", "samples"])
def test_names_from_outside_run_nothing(
    page_name: str, add_run: AddRun, usual_texts: dict[str, Sequence[str]], reader: Reader
) -> None:
    add_run({name: [f"{name[:40]} {name[:40]}"] * 12 for name in NASTY}, notes=NASTY[:3])
    page = reader.open(page_name)
    reader.settle()
    expect(page.locator("body")).to_contain_text("<script>alert(1)</script>")
    assert page.locator("img[onerror], [src=x], a[href^='javascript']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_empty_store_is_friendly(store_url: str, reader: Reader) -> None:
    reader.page.goto(reader.address)
    expect(reader.page.get_by_text("There are no results yet.")).to_be_visible(timeout=PATIENCE)


PHONE_PAGES = ("", "heat", "models", "compare", "ranking", "slices", "samples")


@pytest.mark.parametrize(("page_name", "scheme"), [("ranking", "light"), *((name, "dark") for name in PHONE_PAGES)])
def test_a_phone_needs_no_sideways_scrolling(
    usual_run: Path, browser: Browser, address: str, page_name: str, scheme: str
) -> None:
    phone = Reader(browser, address, viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    page = phone.open(page_name)
    phone.settle()
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth <= window.innerWidth")
    ink = page.evaluate("getComputedStyle(document.querySelector('.am-head h1')).color")
    assert (sum(map(int, ink.strip("rgba()").split(",")[:3])) > 380) == (scheme == "dark")
    phone.context.close()
    assert phone.wrong == []
