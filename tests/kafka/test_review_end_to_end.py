"""From end to end: a guard holds samples, a person looks at them in Chromium and releases one, and readers get it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from deploy.kafka.launcher import Broker
from guard.stream.headers import ORIGIN, REVIEWER, VERDICT
from tests.support.bundles import DIGITS, make_bundle
from tests.support.crowd import Shares, messages
from tests.support.held import make_review_topics, read_settled
from tests.support.page import CHROMIUM, chromium, entered, portray, review_server
from tests.support.topics import read, send
from tests.support.worker import Worker, eventually, settings

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; `make browser` installs it")


def test_hold_look_release_read(broker: Broker, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", DIGITS, rows=700)
    topics = make_review_topics(broker, 2)
    crowd = messages(400, 3, spec=DIGITS, partitions=2, shares=Shares(forged=0.5, own=0.5))
    send(broker.bootstrap, topics.input, crowd)
    with Worker(tmp_path / "guard", settings(broker.bootstrap, topics, bundle)) as worker:
        eventually(lambda: worker.total("guard_records_total") >= len(crowd), "all are judged")
        config = worker.config
        worker.stop()
    before = read(broker.bootstrap, topics.sinks)
    held, passed = before[topics.quarantine], len(before[topics.clean])
    with review_server(["--config", str(config)]) as server, chromium() as browser, entered(browser, server) as page:
        expect(page.locator("#details .own img")).not_to_have_js_property("naturalWidth", 0)
        origin = page.locator("#details dt:text-is('Record') + dd").inner_text()
        page.locator("#why").fill("the label is right")
        portray(page, "review-pictures")
        page.get_by_role("button", name="Release r").click()
        expect(page.locator("#facts")).to_contain_text("1 decision written")
    clean = read_settled(broker.bootstrap, [topics.clean])[topics.clean]
    assert len(clean) == passed + 1
    (released,) = [record for record in clean if (VERDICT, b"released") in record.headers]
    (source,) = [record for record in held if (ORIGIN, origin.encode()) in record.headers]
    assert (released.key, released.value, released.timestamp) == (source.key, source.value, source.timestamp)
    assert (REVIEWER, b"ana") in released.headers
    own = [header for header in source.headers if not header[0].startswith(("guard-", "__connect"))]
    assert [header for header in released.headers if not header[0].startswith("guard-")] == own
