"""The reports in a real Chromium: nothing runs, nothing is fetched, nothing overflows a phone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from guard.cli.main import main
from tests.support.bundles import make_bundle
from tests.support.page import CHROMIUM
from tests.unit.test_cleanse import blobs
from tests.unit.test_demo_measure import SCENARIO
from tests.unit.test_demo_report import demo_of
from tests.unit.test_report import _images, _regression, _story, _table
from tests.unit.test_retrain_compare import held_out
from training.cleanse.cleanse import cleanse_snapshot
from training.cleanse.report import render_page as render_cleansed
from training.demo.report import render_report as render_demo
from training.report.page import render_report
from training.snapshot import write_snapshot


def compared(folder: Path) -> str:
    """What `depois compare` writes of two bundles."""
    bundles = [str(make_bundle(folder / name, seed=seed)) for name, seed in (("one", 4), ("two", 5))]
    write_snapshot(held_out(), folder / "held-out")
    assert main(["compare", *bundles, "--trusted", str(folder / "held-out"), "--out", str(folder / "out")]) in {0, 3}
    return (folder / "out" / "comparison.html").read_text()


def attacked(folder: Path) -> str:
    """What `depois redteam` writes of a bundle."""
    bundle = str(make_bundle(folder / "bundle"))
    write_snapshot(held_out(), folder / "rows")
    assert main(["redteam", bundle, str(folder / "rows"), "--out", str(folder / "out")]) == 0
    return (folder / "out" / "redteam.html").read_text()


REPORTS = {
    "demo": lambda _: render_demo(demo_of(SCENARIO)),
    "table": lambda _: render_report(_story(_table(np.random.default_rng(0)))),
    "images": lambda _: render_report(_story(_images(np.random.default_rng(0)))),
    "regression": lambda _: render_report(_story(_regression(np.random.default_rng(0)))),
    "cleanse": lambda _: render_cleansed(cleanse_snapshot(blobs(), "lgm")),
    "compare": compared,
    "redteam": attacked,
}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make browser` installs it")


@pytest.fixture(params=REPORTS, scope="module")
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    file = folder / "report.html"
    file.write_text(REPORTS[request.param](folder))
    return file.as_uri()


def opened(browser: Browser, report: str, **options: object) -> Page:
    page = browser.new_page(**options)
    page.goto(report)
    return page


def test_a_report_fetches_nothing_and_runs_nothing(browser: Browser, report: str) -> None:
    page = browser.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report)
    assert [url for url in asked if not url.startswith("data:")] == [report]
    assert said == []
    assert page.title()


def test_a_report_fits_a_phone(browser: Browser, report: str) -> None:
    page = opened(browser, report, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_report_follows_the_readers_colour_scheme(browser: Browser, report: str) -> None:
    grounds = {
        scheme: opened(browser, report, color_scheme=scheme).evaluate(
            "[document.documentElement, document.body].map(e => getComputedStyle(e).backgroundColor).join()"
        )
        for scheme in ("light", "dark")
    }
    assert grounds["light"] != grounds["dark"]


def test_every_picture_has_a_text(browser: Browser, report: str) -> None:
    page = opened(browser, report)
    silent = "[...document.images].filter(i => !i.hasAttribute('alt') || !i.naturalWidth).length"
    assert page.evaluate(silent) == 0
