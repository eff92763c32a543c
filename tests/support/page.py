"""The review page as its own process, and a Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.prometheus import ROOT

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
AXE = ROOT / ".setup/axe/axe.min.js"
SCREENSHOTS = os.environ.get("DEPOIS_SCREENSHOTS")
"""A folder into which tests put pictures for the documents; unset: they are not taken."""

PATIENCE_MS = 180_000
STOP_SECONDS = 60.0


@dataclass
class ReviewServer:
    """`link` works once."""

    link: str
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(urlsplit(self.link).port or 0)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> HTTPResponse:
        """One request with these headers; the answer's body is read."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def stop(self) -> str:
        """Ends it in order; what it said."""
        self.process.send_signal(signal.SIGINT)
        said, _ = self.process.communicate(timeout=STOP_SECONDS)
        return said


@contextmanager
def review_server(options: Sequence[str]) -> Iterator[ReviewServer]:
    """`depois review` with these options, and the reviewer ana."""
    command = [sys.executable, "-u", "-m", "guard.cli.main", "review", "--reviewer", "ana", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("http://"):
                yield ReviewServer(line.strip(), process)
                return
        raise AssertionError("".join(said))
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def entered(browser: Browser, server: ReviewServer, **options: Any) -> Iterator[Page]:
    """The page, entered by its link. What it says on the console, or asks of anybody else, fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    own = f"http://127.0.0.1:{server.port}/"
    page.on("request", lambda request: None if request.url.startswith(own) else wrong.append(request.url))
    page.goto(server.link)
    expect(page.locator("#details .facts")).to_be_visible()
    yield page
    context.close()
    assert wrong == []


def portray(page: Page, name: str) -> None:
    """A picture for the documents, where they are wanted; the folder's name stands there without its path."""
    if SCREENSHOTS:
        page.wait_for_load_state("networkidle")
        page.locator("#facts").evaluate("one => { one.textContent = one.textContent.replace(/^\\/\\S*\\//, '') }")
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
