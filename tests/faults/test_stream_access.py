"""Rights that are missing or taken away end the guard with a message; what was not delivered is not acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.launcher import Broker
from tests.support.access import allow, forbid, with_user
from tests.support.checker import assert_sound
from tests.support.crowd import messages
from tests.support.topics import Topics, make_topics, send
from tests.support.watch import await_end, group_of
from tests.support.worker import Worker, settings

PASSWORD = "correct-horse-battery"  # noqa: S105 – of a user of a broker that ends with the tests
Make = Callable[..., Worker]


def secured(broker: Broker, topics: Topics, fruit: Path, user: str, **guard: Any) -> dict[str, dict[str, Any]]:
    """Settings of a guard that comes as `user`; the password comes by its environment."""
    kafka = {"security": "sasl_ssl", "username": user, "mechanism": "SCRAM-SHA-512", "ca_file": str(broker.ca)}
    return settings(broker.sasl_bootstrap, topics, fruit, kafka=kafka, guard={"ready_seconds": 20, **guard})


@pytest.fixture
def topics(secured_broker: Broker) -> Topics:
    """Topics that the user `guard` may read and write as the guard must, and nothing else."""
    found = make_topics(secured_broker)
    with_user(secured_broker, "guard", PASSWORD)
    allow(secured_broker, "guard", "READ", topic=found.input)
    allow(secured_broker, "guard", "READ", group=group_of(found))
    for sink in found.sinks:
        allow(secured_broker, "guard", "WRITE", topic=sink)
    return found


@pytest.fixture
def guard(secured_broker: Broker, topics: Topics, fruit: Path, make_worker: Make) -> Worker:
    return make_worker(secured(secured_broker, topics, fruit, "guard"), environment={"GUARD_KAFKA__PASSWORD": PASSWORD})


def test_the_least_rights_suffice(secured_broker: Broker, topics: Topics, guard: Worker) -> None:
    guard.start()
    send(secured_broker.bootstrap, topics.input, messages(1000, 1))
    await_end(secured_broker, topics, guard)
    assert guard.stop()[0] == 0, guard.log()
    assert_sound(secured_broker, topics, group_of(topics))
    assert PASSWORD not in guard.log(1 << 20)


def test_a_sink_that_is_denied_later_ends_the_guard_and_loses_nothing(
    secured_broker: Broker, topics: Topics, guard: Worker
) -> None:
    guard.start()
    send(secured_broker.bootstrap, topics.input, messages(1000, 2))
    await_end(secured_broker, topics, guard)
    forbid(secured_broker, "guard", "WRITE", topic=topics.quarantine)
    send(secured_broker.bootstrap, topics.input, messages(1000, 3))
    assert guard.exit_code(60) == 1
    assert topics.quarantine in guard.log()
    allow(secured_broker, "guard", "WRITE", topic=topics.quarantine)
    guard.start()
    await_end(secured_broker, topics, guard)
    assert guard.stop()[0] == 0, guard.log()
    assert_sound(secured_broker, topics, group_of(topics))


@pytest.mark.parametrize("denied", ["input", "group", "quarantine"])
def test_a_right_that_is_missing_at_the_start_is_named(
    secured_broker: Broker, topics: Topics, guard: Worker, denied: str
) -> None:
    if denied == "group":
        forbid(secured_broker, "guard", "READ", group=group_of(topics))
    elif denied == "input":
        forbid(secured_broker, "guard", "READ", topic=topics.input)
    else:
        forbid(secured_broker, "guard", "WRITE", topic=topics.quarantine)
    guard.start(wait=False)
    assert guard.exit_code(60) == 1
    name = {"group": group_of(topics), "input": topics.input, "quarantine": topics.quarantine}[denied]
    assert name in guard.log()


def test_a_wrong_password_is_told_without_the_password(
    secured_broker: Broker, topics: Topics, fruit: Path, make_worker: Make
) -> None:
    wrong = "guessed-and-wrong"
    sections = secured(secured_broker, topics, fruit, "guard")
    worker = make_worker(sections, environment={"GUARD_KAFKA__PASSWORD": wrong})
    worker.start(wait=False)
    assert worker.exit_code(60) == 1
    assert "guard" in worker.log()
    assert wrong not in worker.log(1 << 20)
