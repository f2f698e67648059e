"""The static board in a real Chromium, from a plain server of files: without JavaScript too, light, dark, phone."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from audiometry.benchmark.store import Store
from audiometry.leaderboard.site.build import export_site
from audiometry.leaderboard.site.parts import model_path

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AddRun = Callable[..., Path]
NASTY = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><svg onload=alert(1)>', "x" * 10_000)

BRIGHTNESS = "(name) => getComputedStyle(document.body)[name].match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Site:
    """An export behind a plain server of files, and every page that was opened of it with what went wrong."""

    def __init__(self, browser: Browser, folder: Path, address: str) -> None:
        self.browser, self.folder, self.address = browser, folder, address
        self.wrong: list[str] = []

    def open(self, path: str = "", **settings: Any) -> Page:
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        page = context.new_page()
        page.on("console", lambda message: self.wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))
        page.on("requestfailed", lambda request: self.wrong.append(f"failed: {request.url}"))
        page.on("request", lambda request: self._asked(request.url))
        page.goto(f"{self.address}/{path}")
        return page

    def _asked(self, url: str) -> None:
        if not url.startswith(self.address):
            self.wrong.append(f"asked outside: {url}")

    @property
    def protocol(self) -> str:
        (folder,) = (self.folder / "protocols").iterdir()
        return f"protocols/{folder.name}"


@pytest.fixture
def site(browser: Browser, store_url: str, tmp_path: Path) -> Iterator[Callable[[], Site]]:
    """Export the store and serve it; whatever went wrong on a page fails the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made = Site(browser, folder, f"http://127.0.0.1:{server.server_address[1]}")

    def make() -> Site:
        with Store.open(store_url) as store:
            export_site(store, folder)
        return made

    try:
        yield make
    finally:
        for context in browser.contexts:
            context.close()
        server.shutdown()
        thread.join()
        server.server_close()
    assert made.wrong == []


@pytest.fixture
def many(add_run: AddRun, usual_texts: dict[str, Sequence[str]]) -> None:
    """Enough models for a filter."""
    add_run(usual_texts | {f"extra-{number}": usual_texts["poor"] for number in range(10)})


def names(page: Page) -> list[str]:
    return page.locator("main table tbody th[scope=row]:visible").all_inner_texts()


def test_from_the_first_page_to_a_model_and_back(usual_run: Path, site: Callable[[], Site]) -> None:
    page = site().open()
    expect(page.get_by_role("heading", level=1)).to_have_text("Leaderboard")
    page.get_by_role("link", name="wer-tones").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("wer-tones")
    assert names(page) == ["also-good", "good:beam=5", "poor", "oracle", "silent"]
    assert page.locator("td.am-rank").all_inner_texts() == ["1-2", "1-2", "3", "–", "–"]
    expect(page.get_by_text("these speakers only").first).to_be_visible()
    line = page.locator("svg.site-span").nth(2)
    assert line.bounding_box()["width"] > 100  # type: ignore[index]
    page.get_by_role("link", name="CER").click()
    expect(page).to_have_url(re.compile(r"metric-cer\.html$"))
    page.get_by_role("link", name="The same metric in every slice").click()
    expect(page.get_by_role("region", name="duration").locator("table")).to_contain_text("short")
    page.get_by_role("link", name="good:beam=5").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("good:beam=5")
    expect(page.get_by_text("Measured", exact=True)).to_be_visible()
    page.get_by_role("link", name="Audiometry").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Leaderboard")


def test_sorting_and_filtering(many: None, site: Callable[[], Site]) -> None:
    made = site()
    page = made.open(f"{made.protocol}/index.html")
    before = names(page)
    page.get_by_role("button", name="Model").press("Enter")
    ranked = names(page)[:-2]
    assert ranked == sorted(before[:-2])
    assert names(page)[-2:] == before[-2:]  # controls stay below
    expect(page.get_by_role("columnheader", name="Model")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="WER").click()
    page.get_by_role("button", name="WER").click()
    values = [float(text.split()[0]) for text in page.locator("tbody:first-of-type td.am-value").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    page.get_by_role("searchbox", name="Show rows with").fill("EXTRA-7")
    assert names(page) == ["extra-7"]
    expect(page.get_by_role("status")).to_have_text("1 of 15")
    page.get_by_role("searchbox", name="Show rows with").fill("")
    assert len(names(page)) == 15


def test_without_javascript_every_page_is_whole(many: None, site: Callable[[], Site]) -> None:
    made = site()
    page = made.open("index.html", java_script_enabled=False)
    page.get_by_role("link", name="wer-tones").click()
    assert len(names(page)) == 15
    assert page.get_by_role("button").count() == 0
    assert page.get_by_role("searchbox").count() == 0
    page.get_by_role("link", name="extra-3").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("extra-3")


def test_downloads(usual_run: Path, site: Callable[[], Site]) -> None:
    made = site()
    page = made.open(f"{made.protocol}/index.html")
    for name in ("results.csv", "results.json"):
        with page.expect_download() as started:
            page.get_by_role("link", name=name).click()
        assert Path(started.value.path()).read_bytes() == (made.folder / made.protocol / name).read_bytes()


def test_names_from_outside_run_nothing(add_run: AddRun, site: Callable[[], Site]) -> None:
    add_run({name: ["noise"] * 12 for name in NASTY}, notes=NASTY[:3])
    made = site()
    for path in (
        "index.html", f"{made.protocol}/index.html", f"{made.protocol}/slices-wer.html", *map(model_path, NASTY),
    ):  # fmt: skip
        page = made.open(path)
        expect(page.locator("body")).to_contain_text("Made with audiometry export")
        assert page.locator("img, [onerror], [onload], a[href^='javascript']").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    expect(page.get_by_role("heading", level=1)).to_have_text("x" * 10_000)


def test_the_policy_stops_what_a_page_does_not_hold(usual_run: Path, site: Callable[[], Site]) -> None:
    """What escaping would let through by mistake, the policy still stops."""
    made = site()
    page = made.open()
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          const image = document.createElement("img");
          image.src = "http://127.0.0.1:9/outside.png";
          document.body.append(image);
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    said, made.wrong[:] = list(made.wrong), []
    assert len([line for line in said if "Content Security Policy" in line]) == 2, said


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(usual_run: Path, site: Callable[[], Site], scheme: str) -> None:
    made = site()
    for path in ("index.html", f"{made.protocol}/index.html", f"{made.protocol}/slices-wer.html", "models/poor.html"):
        page = made.open(path, viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        light = [page.evaluate(BRIGHTNESS, name) for name in ("color", "backgroundColor")]
        assert (light[0] > light[1]) == (scheme == "dark"), path
