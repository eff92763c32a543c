"""A guard that is killed, stopped or frozen at any moment loses nothing, and repeats only what it had not committed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.kafka.launcher import Broker
from tests.support.checker import assert_sound
from tests.support.crowd import messages
from tests.support.load import Load
from tests.support.topics import make_topics, send
from tests.support.watch import await_end, await_more, group_of, judged
from tests.support.worker import Worker, eventually, settings

RATE = 3000
SESSION = 3.0
LONG_SESSION = 45.0
STOP_SECONDS = 10.0
"""The benchmark holds a stop to 3 s on a machine of its own; here other tests run beside it."""
WORK_PER_SECOND = 60_000
"""More than one core judges: with it, 200 ms of work is the most that a kill may repeat."""


Make = Callable[..., Worker]


def storm(broker: Broker, fruit: Path, make_worker: Make, kills: int, seed: int) -> None:
    """`kills` times SIGKILL at a random moment from its start on, at first while it still joins the group."""
    rng, topics = random.Random(seed), make_topics(broker, 2)
    sections = settings(broker.bootstrap, topics, fruit, kafka={"instance": "guard-0"}, guard={"batch_records": 300})
    worker = make_worker(sections)
    with Load(broker.bootstrap, topics.input, messages(5000, seed, partitions=2), RATE):
        for number in range(kills):
            worker.start(wait=number % 4 != 3)
            time.sleep(rng.uniform(0.0, 1.5))  # not to wait for something: the moment of the kill is the case
            worker.kill()
        worker.start()
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.duplicates <= kills * 0.2 * WORK_PER_SECOND, "more was repeated than 200 ms of work for each kill"


def test_kills_lose_nothing(broker: Broker, fruit: Path, make_worker: Make) -> None:
    storm(broker, fruit, make_worker, kills=3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_hundred_kills_lose_nothing(broker: Broker, fruit: Path, make_worker: Make, seed: int) -> None:
    storm(broker, fruit, make_worker, kills=21, seed=100 + seed)


def test_a_killed_guard_of_the_same_name_takes_over_before_its_session_has_ended(
    broker: Broker, fruit: Path, make_worker: Make
) -> None:
    topics = make_topics(broker)
    sections = settings(
        broker.bootstrap, topics, fruit, kafka={"instance": "guard-0", "session_timeout_seconds": LONG_SESSION}
    )
    worker = make_worker(sections).start()
    send(broker.bootstrap, topics.input, messages(200, 3))
    await_end(broker, topics, worker)
    worker.kill()
    send(broker.bootstrap, topics.input, messages(200, 4))
    began = time.monotonic()
    worker.start(wait=False)
    eventually(lambda: judged(broker, topics) > 200, f"judging goes on\n{worker.log()}")
    assert time.monotonic() - began < LONG_SESSION
    await_end(broker, topics, worker)
    worker.stop()
    assert_sound(broker, topics, group_of(topics))


@pytest.mark.parametrize("stops", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_stops_under_load_are_quick_and_nothing_is_read_again(
    broker: Broker, fruit: Path, make_worker: Make, stops: int
) -> None:
    topics = make_topics(broker, 2)
    worker = make_worker(settings(broker.bootstrap, topics, fruit))
    with Load(broker.bootstrap, topics.input, messages(5000, 5, partitions=2), RATE):
        for _ in range(stops):
            worker.start()
            await_more(broker, topics)
            code, seconds = worker.stop()
            assert code == 0, worker.log()
            assert seconds <= STOP_SECONDS, worker.log()
    worker.start()
    await_end(broker, topics, worker)
    worker.stop()
    assert assert_sound(broker, topics, group_of(topics)).duplicates == 0


def test_a_process_that_slept_through_its_session_comes_back(broker: Broker, fruit: Path, make_worker: Make) -> None:
    topics = make_topics(broker, 2)
    short = {"session_timeout_seconds": SESSION}
    sleeper = make_worker(settings(broker.bootstrap, topics, fruit, kafka=short)).start()
    other = make_worker(settings(broker.bootstrap, topics, fruit, kafka=short))
    with Load(broker.bootstrap, topics.input, messages(5000, 6, partitions=2), RATE):
        await_more(broker, topics)
        with sleeper.frozen():
            other.start(wait=False)
            time.sleep(1.5 * SESSION)  # longer than the session, which is the case
            await_more(broker, topics, RATE)
        eventually(lambda: sleeper.alive() is False or sleeper.ready(), f"it comes back or ends\n{sleeper.log()}")
    await_end(broker, topics, other)
    other.stop()
    sleeper.kill()
    assert_sound(broker, topics, group_of(topics))
