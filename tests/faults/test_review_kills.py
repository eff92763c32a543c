"""Reviewers that are killed at random, and two at once: each record decided once, each release in clean once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.kafka.launcher import Broker
from guard.review.decision import Action, parse_decision
from guard.stream.headers import DECISION, ORIGIN, REVIEWER, VERDICT
from tests.support.held import config_of, fill, ledger_of, make_review_topics, read_settled
from tests.support.prometheus import ROOT
from tests.support.topics import Message, Topics

DECISIONS = 200
SECONDS = 60.0


@contextmanager
def reviewer(config: Path, name: str, seed: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.reviewer", str(config), name, str(seed)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    assert out.split() == ["deciding", "done"]


def storm(broker: Broker, folder: Path, kills: int, seed: int) -> None:
    """Two reviewers at a time, one of them killed at a random moment after it began to decide; then one to the end."""
    rng, topics = random.Random(seed), make_review_topics(broker, 2)
    held = fill(broker, topics, DECISIONS, seed)
    config = config_of(broker, topics, folder)
    for number in range(kills):
        with reviewer(config, "ana", seed + number) as victim, reviewer(config, "bo", seed - number - 1):
            assert victim.stdout is not None
            victim.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.6))  # not to wait for something: the moment of the kill is the case
            victim.kill()
    with reviewer(config, "cleo", seed) as last:
        finish(last)
    assert_each_once(broker, topics, held)


def assert_each_once(broker: Broker, topics: Topics, held: list[Message]) -> None:
    """Every record is decided; what was released lies in clean once, byte for byte, and nothing else does."""
    found = read_settled(broker.bootstrap, [topics.clean, ledger_of(topics)])
    decisions = [parse_decision(record.key, record.value) for record in found[ledger_of(topics)]]
    origins = {dict(message.headers)[ORIGIN]: message for message in held}
    times = Counter(decision.origin.encode() for decision in decisions)
    assert [origin for origin in origins if times[origin] != 1] == [], times
    assert set(times) == set(origins)
    released = {decision.id.encode(): decision for decision in decisions if decision.action is Action.RELEASED}
    assert {dict(record.headers)[DECISION] for record in found[topics.clean]} == set(released)
    assert len(found[topics.clean]) == len(released) > 0
    for record in found[topics.clean]:
        headers = dict(record.headers)
        decision, source = released[headers[DECISION]], origins[headers[ORIGIN]]
        assert (record.key, record.value, record.timestamp) == (source.key, source.value, source.timestamp_ms)
        own = [header for header in source.headers if not header[0].startswith(("guard-", "__connect"))]
        assert [header for header in record.headers if not header[0].startswith("guard-")] == own
        assert (headers[VERDICT], headers[REVIEWER]) == (b"released", decision.reviewer.encode())
        assert decision.released is not None
        assert (record.topic, record.partition, record.offset) == (
            decision.released.topic,
            decision.released.partition,
            decision.released.offset,
        )


def test_kills_and_two_reviewers_at_once_lose_and_double_nothing(broker: Broker, tmp_path: Path) -> None:
    storm(broker, tmp_path, kills=2, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_forty_kills_lose_and_double_nothing(broker: Broker, tmp_path: Path, seed: int) -> None:
    storm(broker, tmp_path, kills=10, seed=1000 * (seed + 1))


def test_two_reviewers_at_once_both_come_through(broker: Broker, tmp_path: Path) -> None:
    topics = make_review_topics(broker)
    held = fill(broker, topics, DECISIONS, 9)
    config = config_of(broker, topics, tmp_path)
    with reviewer(config, "ana", 1) as one, reviewer(config, "bo", 2) as other:
        finish(one)
        finish(other)
    assert_each_once(broker, topics, held)
