"""A clock that jumps under a guard that runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deploy.kafka.launcher import Broker
from tests.support.bundles import make_bundle
from tests.support.checker import assert_sound
from tests.support.crowd import messages
from tests.support.topics import committed, make_topics, send
from tests.support.worker import Worker, eventually, settings

FAKETIME = next(Path(".setup/faketime").rglob("libfaketime.so.1"), None)
DAY = 86_400


@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime here: make kafka")
def test_a_clock_that_jumps_stops_nothing_and_breaks_no_metric(broker: Broker, tmp_path: Path) -> None:
    """A day ahead, two days back, and right again, with records in between."""
    topics = make_topics(broker)
    clock = tmp_path / "clock"
    faked = {
        "LD_PRELOAD": str(FAKETIME and FAKETIME.resolve()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    clock.write_text("+0")
    sections = settings(broker.bootstrap, topics, make_bundle(tmp_path / "bundle"))
    sent = 0
    with Worker(tmp_path / "guard", sections, environment=faked) as worker:
        for jump in (0, DAY, -DAY, 0):
            clock.write_text(f"{jump:+d}")
            sent += len(send(broker.bootstrap, topics.input, messages(300, seed=sent)))
            done = {0: sent}
            eventually(lambda: committed(broker, f"guard.{topics.input}", topics) == done, f"{done} committed")  # noqa: B023 – called within the turn
            assert worker.ready()
            assert worker.total("guard_last_batch_timestamp_seconds") - time.time() == pytest.approx(jump, abs=60)
            assert 0 <= worker.total("guard_end_to_end_latency_seconds_sum") <= sent * (DAY + 60)
        assert worker.stop()[0] == 0
    assert assert_sound(broker, topics, f"guard.{topics.input}").duplicates == 0
