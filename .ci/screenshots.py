"""Photograph every page of the leaderboard as a reader sees it.

::

    python .ci/screenshots.py docs/screenshots                    PAGE.png for every page of the app, light, 1280 x 1000
    python .ci/screenshots.py FOLDER --dark --phone               PAGE-dark-phone.png, 390 x 844
    python .ci/screenshots.py FOLDER --store URL --only ranking

The store is the reader's own (AUDIOMETRY_STORE, or SQLite under AUDIOMETRY_HOME) unless ``--store`` names another. The
list of pages comes from the app. It exits with 1 where a page shows an error, or its browser complains of one.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from audiometry.benchmark import paths
from audiometry.leaderboard.navigation import PAGES, VIEWS

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE = 300_000
QUIET_SECONDS, LONGEST_SECONDS = 1.0, 30.0
"""A page is at rest once nothing of it has changed for so long; one that never rests is taken as it is."""

AT_REST = """([quiet, longest]) => new Promise((done) => {
  setTimeout(done, longest);
  let timer = setTimeout(done, quiet);
  new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, quiet); })
    .observe(document.body, { childList: true, subtree: true, characterData: true });
})"""


@contextmanager
def served(store: str) -> Iterator[str]:
    """The address of ``audiometry serve`` on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "audiometry.benchmark.cli", "serve", "--port", str(port), "--store", store]
    with tempfile.TemporaryFile() as said, subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT) as server:
        try:
            deadline = time.monotonic() + PATIENCE / 1000
            while socket.socket().connect_ex(("127.0.0.1", port)):
                if server.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise SystemExit(f"audiometry serve did not start: {said.read().decode()}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def photograph(browser: Browser, address: str, name: str, file: Path, *, dark: bool, phone: bool) -> list[str]:
    """Open a page, wait until it is at rest, and photograph it; returns what is wrong on it."""
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 1000}
    context = browser.new_context(viewport=size, color_scheme="dark" if dark else "light")
    context.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    place = "" if name == next(iter(PAGES)) else name  # the first page stands at the root
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(f"{name}: {error}"))
    page.goto(f"{address}/{place}")
    expect(page.locator("h1").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=PATIENCE)
    page.evaluate(AT_REST, [1000 * QUIET_SECONDS, 1000 * LONGEST_SECONDS])
    if page.get_by_test_id("stException").count():
        wrong.append(f"{name}: it shows an error")
    page.screenshot(path=file)
    context.close()
    return wrong


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--store", default=None, help="database URL")
    parser.add_argument("--only", action="append", choices=list(PAGES), help="this page alone; may be repeated")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--phone", action="store_true")
    asked = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        raise SystemExit("Chromium is not installed; install it, for example: sudo apt-get install chromium")
    asked.folder.mkdir(parents=True, exist_ok=True)
    ending = ("-dark" if asked.dark else "") + ("-phone" if asked.phone else "") + ".png"
    wrong: list[str] = []
    with served(asked.store or paths.store_url()) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name in asked.only or [name for name in PAGES if find_spec(f"{VIEWS}.{name}") is not None]:
            file = asked.folder / f"{name}{ending}"
            wrong += photograph(browser, address, name, file, dark=asked.dark, phone=asked.phone)
            print(file)
        browser.close()
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
