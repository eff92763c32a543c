"""The review page in a real Chromium: keyboard first, hostile samples as text, nothing from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from guard.sample import encode_samples
from tests.support.bundles import DIGITS, TABLE, draw_samples, make_bundle
from tests.support.crowd import messages
from tests.support.folders import judged_folder, unjudged_folder
from tests.support.page import AXE, CHROMIUM, ReviewServer, entered, portray, review_server

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make browser` installs it")

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
TURNED = "\u202eecila\u2066 שלום"
"""Written so that it reads as another name."""
BROKEN = "pe\nar "
"""A label that no input field can hold."""


def rows(count: int, seed: int) -> list[bytes]:
    """A crowd with flipped labels, and samples that are hostile to whoever looks at them."""
    lines = [message.value or b"" for message in messages(count, seed)]
    x, y = draw_samples(TABLE, 6, seed)
    x = np.nan_to_num(x)
    x[:, 0], x[:3, 1] = 60.0, -70.0
    sample = {"features": {"height": 1, "colour": "red", "ripe": True}, "id": "x" * 250}
    return [
        *lines,
        *encode_samples(TABLE, x, y, ["sensor 7"] * 6),
        json.dumps({"source": MARKUP, "label": f"{MARKUP}{'y' * 3000}", **sample}).encode(),
        json.dumps({"source": TURNED, "label": BROKEN, **sample}).encode(),
    ]


@pytest.fixture
def folder(fruit: Path, tmp_path: Path) -> Path:
    return judged_folder(tmp_path, fruit, rows(200, 3))


@pytest.fixture
def server(folder: Path, fruit: Path) -> Iterator[ReviewServer]:
    with review_server(["--folder", str(folder), "--bundle", str(fruit)]) as found:
        yield found


@pytest.fixture
def page(browser: Browser, server: ReviewServer) -> Iterator[Page]:
    with entered(browser, server) as found:
        yield found


@pytest.fixture(scope="module")
def looked_at(fruit: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page on which nothing is decided; tests leave it as they found it."""
    folder = judged_folder(tmp_path_factory.mktemp("looked-at"), fruit, rows(200, 3))
    with review_server(["--folder", str(folder), "--bundle", str(fruit)]) as server, entered(browser, server) as page:
        yield page


@pytest.fixture
def still(looked_at: Page) -> Iterator[Page]:
    yield looked_at
    looked_at.set_viewport_size({"width": 1440, "height": 900})
    looked_at.emulate_media(color_scheme="light")
    looked_at.evaluate("document.querySelectorAll('dialog').forEach(one => one.close())")
    looked_at.evaluate("document.getElementById('filter').reset()")
    looked_at.locator("nav [data-view=queue]").click()
    expect(looked_at.locator("#chips button")).to_have_count(0)


def decisions(folder: Path) -> list[dict[str, str]]:
    path = folder / "decisions.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def shown(page: Page, *, after: str = "") -> str:
    """The record on the page, once it is another than `after`."""
    origin = page.locator("#details dt:text-is('Record') + dd")
    expect(origin).not_to_have_text(after)
    expect(page.locator("#details")).to_have_attribute("aria-busy", "false")
    return origin.inner_text()


def choose(page: Page, **fields: str) -> None:
    page.locator("#more summary").click()
    for name, text in fields.items():
        field = page.locator(f"#filter [name={name}]")
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#chips button")).to_have_count(len(fields))


def test_the_keyboard_alone_releases_rejects_and_takes_back(page: Page, folder: Path) -> None:
    first = shown(page)
    page.keyboard.press("r")
    expect(page.locator("#said")).to_contain_text("Write why first")
    expect(page.locator("#why")).to_be_focused()
    page.keyboard.type("looked at it")
    page.keyboard.press("Enter")
    page.keyboard.press("r")
    expect(page.locator("#said")).to_contain_text("will be released in 5 s")
    second = shown(page, after=first)
    page.keyboard.press("u")
    expect(page.locator("#said")).to_contain_text("1 decision taken back")
    assert shown(page, after=second) == first
    page.keyboard.press("x")
    expect(page.locator("#said")).to_contain_text("will be rejected")
    second = shown(page, after=first)
    expect(page.locator("#facts")).to_contain_text("1 decision written")
    assert shown(page) == second, "what comes in the meantime does not move the reviewer"
    (found,) = decisions(folder)
    expected = (first, "rejected", "ana", "looked at it")
    assert (found["origin"], found["action"], found["reviewer"], found["why"]) == expected
    page.keyboard.press("3")
    expect(page.locator("#log-rows tr")).to_contain_text(["looked at it"])
    page.locator("#log-rows button").click()
    assert shown(page, after=second) == first
    page.keyboard.press("o")
    expect(page.locator("#said")).to_contain_text("will be reopened")
    expect(page.locator("#facts")).to_contain_text("2 decisions written")
    assert [one["action"] for one in decisions(folder)] == ["rejected", "reopened"]


def test_all_chosen_are_decided_after_their_number_was_typed(page: Page, folder: Path, server: ReviewServer) -> None:
    page.locator("#why").fill("labels that nobody knows")
    choose(page, reason="unknown_label")
    page.keyboard.press("b")
    told = page.locator("#all")
    expect(told).to_contain_text("unknown_label")
    expect(page.locator("#all-groups")).to_contain_text("sender")
    count = page.locator("#all-what strong").inner_text().split()[0]
    every = page.get_by_role("button", name="Reject all")
    for wrong in ("", "0", f"{count}0"):
        page.locator("#all-count").fill(wrong)
        expect(every).to_be_disabled()
    page.locator("#all-count").fill(count)
    every.click()
    expect(page.locator("#said")).to_contain_text(f"{count} records will be rejected")
    expect(page.locator("#count")).to_have_text("nothing is chosen")
    page.goto("about:blank")
    assert "not written" not in server.stop(), "what waits when the page is closed is written first"
    assert [found["action"] for found in decisions(folder)] == ["rejected"] * int(count)


def test_what_a_sample_holds_is_never_more_than_text(still: Page) -> None:
    still.keyboard.press("2")
    expect(still.locator("#groups-rows")).to_contain_text("<script>")
    expect(still.locator("#groups-rows")).to_contain_text("\\u{202e}ecila\\u{2066}")
    assert still.locator("main script, main img[src=x]").count() == 0
    assert "\u202e" not in still.locator("body").inner_text()
    for by, name, claimed in (("source", MARKUP, "onerror=alert(1)"), ("label", "pe\\u{a}ar", "pe\\u{a}ar")):
        still.keyboard.press("2")
        still.get_by_label("Count by").select_option(by)
        still.get_by_role("button", name=name).click()
        expect(still.locator("#queue li")).to_have_count(1)
        expect(still.locator("#record-title")).to_contain_text(claimed)
        assert still.locator("main script, main img[src=x]").count() == 0
        assert still.evaluate("document.documentElement.scrollWidth") <= 1440
        still.locator("#chips button").click()


def test_columns_that_made_it_suspicious_are_marked_in_the_queue_and_stand_first(still: Page) -> None:
    choose(still, source="sensor 7")
    expect(still.locator("#queue li")).to_have_count(6)
    expect(still.locator("#queue li").nth(5).locator("mark")).to_contain_text(["width 60"])
    both = still.locator("#queue li").filter(has=still.locator("mark").filter(has_text="height -70"))
    expect(both).to_have_count(3)
    expect(both.first.locator("mark")).to_have_count(2)
    both.first.click()
    marked = still.locator("#details tr.blamed")
    expect(marked).to_have_count(2)
    expect(marked.first).to_contain_text("suspicious")
    expect(still.locator("#details tbody tr").nth(2)).not_to_contain_text("suspicious")
    expect(still.get_by_role("region", name="What each member says")).to_contain_text("spoke loudest")
    still.emulate_media(color_scheme="dark")
    portray(still, "review-rows")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("dark", 390)])
def test_it_can_be_used_without_seeing_it_and_fits(still: Page, scheme: str, width: int) -> None:
    """axe-core's rules: names, roles, contrast, headings, landmarks; where it is not at hand, only that all fits."""
    still.emulate_media(color_scheme=scheme)
    still.set_viewport_size({"width": width, "height": 844})
    if AXE.exists():
        still.evaluate(AXE.read_text())
    for key in ("1", "2", "3", "?"):
        still.keyboard.press(key)
        assert still.evaluate("document.documentElement.scrollWidth") <= width
        if AXE.exists():
            found = still.evaluate("axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })")
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []


def test_everything_has_a_role_and_a_name(still: Page) -> None:
    tree = still.locator("body").aria_snapshot()
    for part in (
        "main",
        "banner",
        'heading "Queue"',
        'button "Release r"',
        'combobox "Why"',
        "status",
        "alert",
        "list",
    ):
        assert part in tree, tree
    unnamed = "[...document.querySelectorAll('input,select,button')].filter(e => !e.labels?.length && !e.textContent)"
    assert still.evaluate(f"{unnamed}.length") == 0
    choices = still.locator("#queue button[tabindex='0']")
    expect(choices).to_have_count(1)


def test_single_keys_can_be_turned_off(still: Page) -> None:
    still.keyboard.press("?")
    still.get_by_label("Single keys").uncheck()
    still.keyboard.press("Escape")
    expect(still.locator("#help")).to_be_hidden()
    still.keyboard.press("2")
    expect(still.locator("#view-queue")).to_be_visible()
    expect(still.locator("#view-groups")).to_be_hidden()
    still.keyboard.press("?")
    still.get_by_label("Single keys").check()


def test_only_who_has_the_link_and_only_this_page_may_decide(server: ReviewServer, folder: Path) -> None:
    here = f"127.0.0.1:{server.port}"
    assert server.ask("GET", "/", Host=here).status == 403
    assert server.ask("GET", "/api/queue", Host=here).status == 403
    assert server.ask("GET", "/enter?token=guess", Host=here).status == 403
    assert server.ask("GET", "/", Host="evil.example").status == 421
    assert server.ask("GET", "/", Host=f"evil.example:{server.port}").status == 421
    path = server.link.split(here)[1]
    opened = server.ask("GET", path, Host=here)
    cookie = (opened.getheader("set-cookie") or "").split(";")[0]
    assert opened.status == 303
    assert {"HttpOnly", "SameSite=strict"} <= set((opened.getheader("set-cookie") or "").split("; "))
    assert server.ask("GET", path, Host=here).status == 403, "the link works once"
    allowed = server.ask("GET", "/", Host=here, Cookie=cookie)
    assert allowed.status == 200
    assert "default-src 'none'" in (allowed.getheader("content-security-policy") or "")
    assert server.ask("GET", "/../app.py", Host=here, Cookie=cookie).status == 404
    own = f"http://{here}"
    body = b'{"action":"rejected","why":"x","filter":{},"count":1}'
    for headers in ({}, {"Origin": own}, {"Origin": own, "X_Review_Token": "guess"}, {"Origin": "http://evil.example"}):
        for asked in ("/api/undo", "/api/decide"):
            assert server.ask("POST", asked, body, Host=here, Cookie=cookie, **headers).status == 403
    assert decisions(folder) == []


def test_images_are_drawn_anew_and_unknown_labels_have_one_too(browser: Browser, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", DIGITS, rows=700)
    x, y = draw_samples(DIGITS, 40, 5)
    lines = encode_samples(DIGITS, x, (y + 1) % 10, ["camera 4"] * 40)
    folder = judged_folder(tmp_path, bundle, [*lines, lines[0].replace(b'"label":', b'"label":7')])
    with review_server(["--folder", str(folder), "--bundle", str(bundle)]) as server, entered(browser, server) as page:
        expect(page.locator("#record-title")).to_contain_text("Claims 7")
        for place in ("#details .own img", "#details .near img", "#queue img"):
            expect(page.locator(place).first).not_to_have_js_property("naturalWidth", 0)
        expect(page.locator("#details .near figure")).to_have_count(5)
        expect(page.locator(".broken")).to_have_count(0)
        page.keyboard.press("j")
        expect(page.locator("#record-title")).to_contain_text("trusted data say")


def test_a_sample_of_which_nothing_was_judged_is_shown_without_an_opinion(
    browser: Browser, fruit: Path, tmp_path: Path
) -> None:
    x, y = draw_samples(TABLE, 30, 8)
    folder = unjudged_folder(tmp_path / "audit", encode_samples(TABLE, x, (y + 1) % 3, ["alice"] * 30))
    with review_server(["--folder", str(folder), "--bundle", str(fruit)]) as server, entered(browser, server) as page:
        expect(page.locator("#details")).to_contain_text("Nothing was judged about this sample")
        expect(page.locator("#details table")).to_have_count(1)
        expect(page.locator("#queue mark, #details .blamed, #details meter")).to_have_count(0)
        expect(page.locator("body")).not_to_contain_text("trusted data say")
        assert set(page.locator("#queue .told").all_inner_texts()) == {""}
        page.locator("#why").fill("right as it stands")
        page.get_by_role("button", name="Release r").click()
        expect(page.locator("#facts")).to_contain_text("1 decision written")
    (found,) = decisions(folder)
    assert found["action"] == "released"
    assert (folder / "released.jsonl").read_bytes() == (folder / "quarantine.jsonl").read_bytes().splitlines(True)[0]
