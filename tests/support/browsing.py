"""A real Chromium, a server to look at, and a page that notes everything that goes wrong on it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, expect, sync_playwright

PATIENCE = 60_000
"""Milliseconds."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Opened at a page other than the first, Streamlit's front end asks for these below that page before it asks the root.
PROBES = ("/_stcore/health", "/_stcore/host-config")


@contextmanager
def launched() -> Iterator[Browser]:
    """Chromium without a window."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    assert path is not None, "Chromium is not installed; install it with: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@contextmanager
def served(
    words: Callable[[int], Sequence[str]], environment: Mapping[str, str] | None = None, *, unsaid: Sequence[str] = ()
) -> Iterator[str]:
    """Run a server, whose command is told a free port, until the end; gives its address.

    It must print no traceback, nor anything of `unsaid`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen(
        words(port), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:  # fmt: skip
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert server.poll() is None, server.communicate()[0]
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGTERM)
            said = server.communicate(timeout=120)[0]
            for text in ("Traceback", *unsaid):
                assert text not in said, said


class Reader:
    """A page, and everything that went wrong on it."""

    def __init__(self, browser: Browser, address: str, *, patience: float = PATIENCE, **settings: Any) -> None:
        self.address, self.patience = address, patience
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | settings)
        self.context.set_default_timeout(patience)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        page = self.page
        page.on("console", lambda message: self._said(message.type, message.text, message.location.get("url", "")))
        page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        page.on("dialog", lambda dialog: (self.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("requestfailed", lambda request: self._asked(request.url, f"failed: {request.failure}"))
        page.on("request", lambda request: self._asked(request.url, None))

    def _said(self, kind: str, text: str, url: str) -> None:
        if kind == "error" and not url.partition("?")[0].endswith(PROBES):
            self.wrong.append(f"console: {text} ({url})")

    def _asked(self, url: str, failure: str | None) -> None:
        inside = url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:"))
        if failure is not None and "ERR_ABORTED" not in failure:  # a page that is left gives up what it still asks for
            self.wrong.append(f"{failure} {url}")
        if not inside:
            self.wrong.append(f"asked outside: {url}")

    def open(self, page: str = "", **parameters: str) -> Page:
        self.page.goto(f"{self.address}/{page}?{urlencode(parameters)}" if parameters else f"{self.address}/{page}")
        expect(self.page.get_by_text("Download CSV")).to_be_visible(timeout=self.patience)
        return self.page

    def settle(self) -> None:
        """Wait until no script runs any more."""
        expect(self.page.get_by_test_id("stStatusWidget")).to_have_count(0, timeout=self.patience)
