"""Floods of poison, of invented names and of random bytes: all is routed, nothing grows, nothing falls over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy.kafka.launcher import Broker
from guard.sample import encode_samples
from tests.support.bundles import TABLE, draw_samples
from tests.support.checker import assert_sound, header
from tests.support.crowd import Shares, messages
from tests.support.topics import Message, make_topics, read, send
from tests.support.watch import await_end, group_of
from tests.support.worker import Worker, settings

Make = Callable[..., Worker]


def test_a_flood_of_poison_is_held_and_the_series_stay_as_many(broker: Broker, fruit: Path, make_worker: Make) -> None:
    topics = make_topics(broker)
    worker = make_worker(settings(broker.bootstrap, topics, fruit)).start()
    send(broker.bootstrap, topics.input, messages(500, 1))
    await_end(broker, topics, worker)
    series = worker.metrics().keys()
    send(broker.bootstrap, topics.input, invented(8000))
    send(broker.bootstrap, topics.input, messages(8000, 2, shares=Shares(flipped=1.0, unknown=0.0, junk=0.0)))
    await_end(broker, topics, worker)
    assert worker.metrics().keys() == series
    assert worker.stop()[0] == 0, worker.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.sinks["quarantine"] > 0.95 * 16_000


def invented(count: int) -> Iterator[Message]:
    """Each record from a source of its own, with a label of its own."""
    x, y = draw_samples(TABLE, count, 3)
    values = encode_samples(TABLE, x, y, [f"source {number}" for number in range(count)])
    for number, value in enumerate(values):
        yield Message(value.replace(b'"label":"', b'"label":"%d' % number), headers=((f"h{number}", b"x"),))


def fuzzed(count: int, seed: int) -> Iterator[Message]:
    """Records with bytes changed, cut out, doubled, or of nothing but noise."""
    rng = np.random.default_rng(seed)
    good = [message.value or b"" for message in messages(500, seed)]
    for number in range(count):
        value = bytearray(good[number % len(good)])
        kind = number % 5
        if kind == 0 and value:
            value[int(rng.integers(len(value)))] = int(rng.integers(256))
        elif kind == 1:
            del value[int(rng.integers(len(value) + 1)) :]
        elif kind == 2:
            value += value[int(rng.integers(len(value) + 1)) :]
        elif kind == 3:
            value = bytearray(rng.bytes(int(rng.integers(200))))
        yield Message(bytes(value), headers=((rng.bytes(3).hex(), rng.bytes(5)),) if kind == 4 else ())


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_fuzzed_records_all_find_a_sink_and_memory_does_not_grow(
    broker: Broker, fruit: Path, make_worker: Make, count: int
) -> None:
    topics = make_topics(broker)
    worker = make_worker(settings(broker.bootstrap, topics, fruit))
    first = count // 5
    send(broker.bootstrap, topics.input, fuzzed(first, 5))
    worker.start()
    await_end(broker, topics, worker, 300)
    before = worker.resident_bytes()
    for part in range(4):
        send(broker.bootstrap, topics.input, fuzzed(first, 6 + part))
    await_end(broker, topics, worker, 300)
    assert worker.resident_bytes() <= 1.1 * before + (8 << 20)
    assert worker.stop()[0] == 0, worker.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.inputs == 5 * first


def test_batches_that_expand_to_gigabytes_are_dead_letters_and_cost_no_memory(
    broker: Broker, fruit: Path, make_worker: Make
) -> None:
    topics = make_topics(broker)
    worker = make_worker(settings(broker.bootstrap, topics, fruit)).start()
    send(broker.bootstrap, topics.input, messages(500, 8))
    await_end(broker, topics, worker)
    before = worker.resident_bytes()
    bomb = [Message(bytes(100 << 20), b"k")]
    for codec in ("zstd", "gzip", "lz4"):
        options = {"compression_type": codec, "max_batch_size": 1 << 30, "max_request_size": 1 << 30}
        for _ in range(3):
            send(broker.bootstrap, topics.input, bomb, **options)
        send(broker.bootstrap, topics.input, messages(100, 9))
    await_end(broker, topics, worker)
    assert worker.resident_bytes() <= before + (128 << 20)
    assert worker.stop()[0] == 0, worker.log()
    found = read(broker.bootstrap, topics.sinks)
    refused = [one for one in found[topics.dead_letter] if header(one, "guard-reason") == "too_large"]
    assert len(refused) == 9
    assert {one.value for one in refused} == {b""}
    assert sum(map(len, found.values())) == 500 + 3 * (3 + 100)
