"""A broker that dies, restarts, cannot be reached or takes a topic away costs time, never a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka.admin import NewTopic

from deploy.kafka.launcher import Broker, free_port
from tests.support.checker import assert_sound
from tests.support.crowd import messages
from tests.support.load import Load
from tests.support.tcp_proxy import TcpProxy
from tests.support.topics import Topics, make_topics, send
from tests.support.watch import await_end, await_more, group_of
from tests.support.worker import Worker, eventually, settings

RATE = 1000
Make = Callable[..., Worker]


def finish(broker: Broker, topics: Topics, worker: Worker) -> None:
    """Everything that is in the input has come out, and is committed."""
    await_end(broker, topics, worker, keep=True)
    worker.until_ready()
    assert worker.stop()[0] == 0, worker.log()
    assert_sound(broker, topics, group_of(topics))


@pytest.mark.parametrize("seconds", [0.0, pytest.param(60.0, marks=pytest.mark.slow)])
def test_a_broker_that_was_killed_and_comes_back(
    own_broker: Broker, fruit: Path, make_worker: Make, seconds: float
) -> None:
    topics = make_topics(own_broker, 2)
    worker = make_worker(settings(own_broker.bootstrap, topics, fruit, guard={"delivery_timeout_seconds": 20}))
    worker.start()
    with Load(own_broker.bootstrap, topics.input, messages(5000, 1, partitions=2), RATE):
        await_more(own_broker, topics, RATE)
        own_broker.kill()
        time.sleep(seconds)  # the length of the outage is the case
        own_broker.start()
        await_more(own_broker, topics, RATE, 120, worker)
    finish(own_broker, topics, worker)


def test_a_broker_that_is_shut_down_in_good_order(own_broker: Broker, fruit: Path, make_worker: Make) -> None:
    topics = make_topics(own_broker, 2)
    worker = make_worker(settings(own_broker.bootstrap, topics, fruit)).start()
    with Load(own_broker.bootstrap, topics.input, messages(5000, 2, partitions=2), RATE):
        await_more(own_broker, topics, RATE)
        own_broker.stop()
        own_broker.start()
        await_more(own_broker, topics, RATE, 120, worker)
    finish(own_broker, topics, worker)


def test_a_stop_while_the_broker_is_away_ends_in_time(own_broker: Broker, fruit: Path, make_worker: Make) -> None:
    topics = make_topics(own_broker)
    worker = make_worker(settings(own_broker.bootstrap, topics, fruit)).start()
    send(own_broker.bootstrap, topics.input, messages(1000, 3))
    await_end(own_broker, topics, worker)
    own_broker.kill()
    _, seconds = worker.stop()
    assert seconds <= 10.0, worker.log()
    own_broker.start()
    finish(own_broker, topics, worker)


def test_no_broker_at_the_start_is_told_and_ends_the_guard(fruit: Path, make_worker: Make) -> None:
    topics = Topics("samples", "clean", "quarantine", "dead-letter")
    nobody = f"127.0.0.1:{free_port()}"
    worker = make_worker(settings(nobody, topics, fruit, guard={"ready_seconds": 15}))
    worker.start(wait=False)
    assert worker.exit_code(90) == 1
    assert nobody in worker.log()


@pytest.fixture
def proxy(own_broker: Broker) -> Iterator[TcpProxy]:
    target, port = own_broker.proxied
    with TcpProxy(port, target) as found:
        yield found


@pytest.mark.parametrize("cuts", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_connections_that_are_cut(
    own_broker: Broker, proxy: TcpProxy, fruit: Path, make_worker: Make, cuts: int
) -> None:
    topics = make_topics(own_broker, 2)
    worker = make_worker(settings(own_broker.proxied_bootstrap, topics, fruit)).start()
    with Load(own_broker.bootstrap, topics.input, messages(5000, 4, partitions=2), RATE):
        for _ in range(cuts):
            await_more(own_broker, topics, RATE // 2, 120, worker)
            proxy.cut()
        proxy.refuse()
        time.sleep(3)  # the length of the outage is the case
        proxy.heal()
        await_more(own_broker, topics, RATE, 120, worker)
    finish(own_broker, topics, worker)


def test_a_network_that_loses_everything_for_longer_than_a_delivery_may_take(
    own_broker: Broker, proxy: TcpProxy, fruit: Path, make_worker: Make
) -> None:
    topics = make_topics(own_broker, 2)
    limits = {"delivery_timeout_seconds": 5}
    worker = make_worker(settings(own_broker.proxied_bootstrap, topics, fruit, guard=limits)).start()
    with Load(own_broker.bootstrap, topics.input, messages(5000, 5, partitions=2), RATE):
        await_more(own_broker, topics, RATE)
        proxy.swallow()
        time.sleep(8)  # the length of the outage is the case
        proxy.heal()
        await_more(own_broker, topics, RATE, 120, worker)
    finish(own_broker, topics, worker)


def test_an_output_that_was_deleted_ends_the_guard_and_nothing_is_acknowledged(
    broker: Broker, fruit: Path, make_worker: Make
) -> None:
    topics = make_topics(broker)
    worker = make_worker(settings(broker.bootstrap, topics, fruit, guard={"delivery_timeout_seconds": 5})).start()
    send(broker.bootstrap, topics.input, messages(1000, 6))
    await_end(broker, topics, worker)
    admin = broker.admin()
    admin.delete_topics([topics.quarantine])
    eventually(lambda: topics.quarantine not in admin.list_topics(), "the topic is gone")
    send(broker.bootstrap, topics.input, messages(1000, 7))
    assert worker.exit_code(60) == 1
    assert topics.quarantine in worker.log()
    admin.create_topics([NewTopic(topics.quarantine, 1, 1)], wait_for_metadata=True)
    admin.close()
    worker.start()
    await_end(broker, topics, worker)
    worker.stop()
    held = assert_sound(broker, topics, group_of(topics), since=1000)
    assert held.sinks["quarantine"] > 0
