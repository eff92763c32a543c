"""The page's answers without a browser: fast at a hundred thousand records, exact about what a batch is meant for."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from starlette.requests import Request

import guard.review.web.app
from guard.errors import WrongUse
from guard.review.decision import Action
from guard.review.desk import Wish
from guard.review.web.access import Access
from guard.review.web.app import FILES, ReviewPage
from guard.verdict import HoldReason
from tests.support.held import held_at
from tests.unit.test_review_pending import Paper

RECORDS = 100_000
STATIC = Path(guard.review.web.app.__file__).with_name("static")


def request(query: str = "", body: bytes = b"") -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": query.encode()}
    return Request(scope, receive)


def answer(page: ReviewPage, asked: str, query: str = "", body: bytes = b"") -> Any:
    return msgspec.json.decode(asyncio.run(getattr(page, asked)(request(query, body))).body)


def page_of(count: int) -> ReviewPage:
    paper, rng = Paper(), np.random.default_rng(1)
    p, sources = rng.random(count).tolist(), rng.integers(0, 5000, count).tolist()
    for number in range(count):
        paper.desk.hold(held_at(number, p_value=p[number], source=f"s{sources[number]}"))
    return ReviewPage(paper, Access(80), "ana", None, lambda _: None)


@pytest.fixture(scope="module")
def large() -> ReviewPage:
    """A quarantine of a hundred thousand, of which the largest batch waits to be decided."""
    page = page_of(RECORDS)
    held = page._quarantine.desk.queue.take(range(10_000))
    page.pending.add([Wish(one, Action.REJECTED, "ana", "why") for one in held])
    return page


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ("_queue", ""),
        ("_queue", "max_p=0.5&order=arrival&first=40000"),
        ("_groups", "state=all"),
        ("_groups", "by=label&first=100"),
        ("_session", ""),
        ("_record", f"origin={held_at(50_000).origin}"),
        ("_log", ""),
    ],
)
def test_an_answer_takes_less_than_a_tenth_of_a_second(large: ReviewPage, asked: str, query: str) -> None:
    def seconds() -> float:
        began = time.process_time()  # of this process: other work on the machine is not the page's
        asyncio.run(getattr(large, asked)(request(query)))
        return time.process_time() - began

    assert min(seconds() for _ in range(5)) < 0.1


def test_a_batch_is_for_exactly_what_was_counted() -> None:
    page = page_of(50)
    counted = answer(page, "_queue", "max_p=0.5")["count"]
    asked = {"action": "rejected", "why": "x", "filter": {"max_p": "0.5"}, "count": counted}
    for wrong in ({**asked, "count": counted + 1}, {**asked, "filter": {}}, {**asked, "why": " "}, {"action": "eaten"}):
        with pytest.raises(WrongUse):
            answer(page, "_decide", body=msgspec.json.encode(wrong))
    assert page.pending.waiting == 0
    assert answer(page, "_decide", body=msgspec.json.encode(asked))["taken"] == page.pending.waiting == counted


def test_what_waits_has_left_the_queue_until_it_is_taken_back() -> None:
    page = page_of(50)
    (first, *_) = answer(page, "_queue")["rows"]
    body = msgspec.json.encode({"action": "released", "why": "x", "origin": first["origin"]})
    assert answer(page, "_decide", body=body)["taken"] == 1
    assert answer(page, "_decide", body=body)["taken"] == 0
    assert answer(page, "_queue")["count"] == 49
    assert answer(page, "_groups", "by=label")["rows"][0]["undecided"] == 49
    (row, *_) = answer(page, "_queue", "state=all")["rows"]
    assert (row["origin"], row["pending"]) == (first["origin"], "released")
    assert answer(page, "_undo")["origin"] == first["origin"]
    assert answer(page, "_queue")["rows"][0] == first


def test_pages_of_the_queue_follow_each_other_without_gap() -> None:
    page = page_of(250)
    found = [row["origin"] for first in (0, 100, 200) for row in answer(page, "_queue", f"first={first}")["rows"]]
    assert len(set(found)) == len(found) == 250


def test_a_source_without_a_name_can_be_chosen() -> None:
    page = page_of(10)
    page._quarantine.desk.hold(held_at(77, source=""))
    assert [row["origin"] for row in answer(page, "_queue", "source=")["rows"]] == [held_at(77).origin]


@pytest.mark.parametrize(
    "query", ["p=1", "max_p=x", "since=soon", "state=held", "first=-1", "order=random", "by=p", "reason=x&reson=y"]
)
def test_questions_that_cannot_be_meant_are_refused(query: str) -> None:
    with pytest.raises(WrongUse):
        asyncio.run(page_of(3)._queue(request(query)))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"action":"released"}', b"[" * 5000, b"x" * (1 << 20)])
def test_bodies_that_are_no_decision_are_refused(body: bytes) -> None:
    with pytest.raises(WrongUse):
        asyncio.run(page_of(3)._decide(request(body=body)))


def test_the_page_holds_no_script_no_style_and_no_address_but_its_own() -> None:
    text = (STATIC / "page.html").read_text()
    assert re.findall(r"<script[^>]*>", text) == ['<script type="module" src="/page.js">']
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    for path in STATIC.iterdir():
        assert not re.search(
            r"https?://|innerHTML|outerHTML|insertAdjacentHTML|\beval\b|document\.write", path.read_text()
        )
        named = re.findall(r'(?:from|src|href)[ =]"(/[^"]*)"', path.read_text())
        assert set(named) <= {*FILES, "/favicon.ico"}


def test_every_reason_can_be_chosen() -> None:
    (choices,) = re.findall(r'<select name="reason">(.*?)</select>', (STATIC / "page.html").read_text())
    assert set(re.findall(r"<option>([a-z_]+)<", choices)) == {str(reason) for reason in HoldReason}
