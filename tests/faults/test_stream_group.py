"""Guards that join and leave share the partitions as one group, and no record falls between two of them."""

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
from tests.support.topics import make_topics
from tests.support.watch import await_end, await_more, group_of
from tests.support.worker import Worker, settings

PARTITIONS = 6
RATE = 2000
Make = Callable[..., Worker]


@pytest.mark.parametrize(("members", "turns"), [(3, 3), pytest.param(5, 40, marks=pytest.mark.slow)])
def test_members_join_leave_and_die(broker: Broker, fruit: Path, make_worker: Make, members: int, turns: int) -> None:
    rng, topics = random.Random(members), make_topics(broker, PARTITIONS)
    workers = [make_worker(settings(broker.bootstrap, topics, fruit)) for _ in range(members)]
    workers[0].start()
    with Load(broker.bootstrap, topics.input, messages(5000, 1, partitions=PARTITIONS), RATE):
        for _ in range(turns):
            turn(rng, rng.choice(workers))
            time.sleep(rng.uniform(0, 1))  # not to wait for something: the moment of the next turn is the case
        for worker in workers[1:]:
            worker.kill()
        await_more(broker, topics, RATE, keep=workers[0])
    await_end(broker, topics, workers[0])
    assert workers[0].stop()[0] == 0, workers[0].log()
    assert_sound(broker, topics, group_of(topics))


def turn(rng: random.Random, worker: Worker) -> None:
    """A member that is not there joins; one that is there leaves in good order, or dies."""
    if not worker.alive():
        worker.start(wait=rng.random() < 0.5)
    elif rng.random() < 0.5:
        worker.stop()
    else:
        worker.kill()


def test_two_members_share_the_partitions_and_one_takes_over(broker: Broker, fruit: Path, make_worker: Make) -> None:
    topics = make_topics(broker, 2)
    first, second = (make_worker(settings(broker.bootstrap, topics, fruit)).start() for _ in range(2))
    with Load(broker.bootstrap, topics.input, messages(5000, 2, partitions=2), RATE):
        for worker in (first, second):
            worker.until_ready()
        await_more(broker, topics, 2 * RATE)
        assert all(worker.total(r"guard_records_total") > 0 for worker in (first, second))
        assert first.stop()[0] == 0, first.log()
        await_more(broker, topics, RATE)
    await_end(broker, topics, second)
    assert second.stop()[0] == 0, second.log()
    assert assert_sound(broker, topics, group_of(topics)).duplicates == 0
