"""Whatever a topic can hold goes through: each codec, transactions, compacted topics, keys and values that are null."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from deploy.kafka.launcher import Broker
from tests.support.checker import assert_sound, header
from tests.support.crowd import FORGED, OWN, messages
from tests.support.streams import HOSTILE
from tests.support.topics import Message, Topics, committed, ends, make_topics, read, send, send_with
from tests.support.watch import await_end, group_of
from tests.support.worker import Worker, eventually, settings

Make = Callable[..., Worker]


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return make_topics(broker)


@pytest.fixture
def guard(broker: Broker, topics: Topics, fruit: Path, make_worker: Make) -> Worker:
    return make_worker(settings(broker.bootstrap, topics, fruit)).start()


def test_all_codecs_null_keys_tombstones_and_headers_of_any_kind(broker: Broker, topics: Topics, guard: Worker) -> None:
    for number, codec in enumerate([None, "gzip", "snappy", "lz4", "zstd"]):
        send(broker.bootstrap, topics.input, messages(400, number), compression_type=codec)
    odd = [Message(value, headers=(*FORGED, *OWN)) for value in HOSTILE if len(value) < 300]
    odd += [Message(None, b"gone"), Message(None, b"gone", OWN), Message(b"", b""), Message(b"\x00\x00\x00\x00\x07{}")]
    send(broker.bootstrap, topics.input, odd)
    asyncio.run(send_neither_key_nor_value(broker.bootstrap, topics.input))
    await_end(broker, topics, guard)
    assert guard.stop()[0] == 0, guard.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.inputs == 2000 + len(odd) + 1
    assert report.duplicates == 0
    assert min(report.sinks.values()) > 0


async def send_neither_key_nor_value(bootstrap: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        batch = producer.create_batch()
        assert batch.append(key=None, value=None, timestamp=None) is not None
        await (await producer.send_batch(batch, topic, partition=0))


def test_aborted_transactions_are_never_judged_and_gaps_do_not_hold_up_commits(
    broker: Broker, topics: Topics, guard: Worker
) -> None:
    asyncio.run(transact(broker.bootstrap, topics.input))
    send(broker.bootstrap, topics.input, messages(10, 9))  # aborted transactions at the very end are never committed
    await_end(broker, topics, guard)
    assert guard.stop()[0] == 0, guard.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.inputs == 60 + 10
    keys = {record.key for name in topics.sinks for record in read(broker.bootstrap, [name])[name]}
    assert b"aborted" not in keys
    assert committed(broker, group_of(topics), topics) == ends(broker, topics.input)


async def transact(bootstrap: str, topic: str) -> None:
    """60 transactions of one record, every one followed by an aborted one."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    await producer.start()
    try:
        for message in messages(60, 8):
            async with producer.transaction():
                await send_with(producer, topic, [message])
            await producer.begin_transaction()
            await send_with(producer, topic, [message._replace(key=b"aborted")] * 3)
            await producer.abort_transaction()
    finally:
        await producer.stop()


def test_a_compacted_input_with_gaps(broker: Broker, fruit: Path, make_worker: Make) -> None:
    compacting = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01"}
    topics = make_topics(broker, input_settings={**compacting, "segment.bytes": "1048576"})
    keyed = [message._replace(key=b"k%d" % (number % 97)) for number, message in enumerate(messages(3000, 11))]
    for first in range(0, len(keyed), 300):
        send(broker.bootstrap, topics.input, keyed[first : first + 300])
    eventually(lambda: 0 < count(broker, topics) < 1500, "the cleaner has been here", 90, every=0.5)
    admin = broker.admin()
    stop = ConfigResource(ConfigResourceType.TOPIC, topics.input, {"min.cleanable.dirty.ratio": "1.0"})
    admin.alter_configs([stop])
    admin.close()
    worker = make_worker(settings(broker.bootstrap, topics, fruit)).start()
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.inputs < len(keyed)


def count(broker: Broker, topics: Topics) -> int:
    send(broker.bootstrap, topics.input, [Message(b"{}", b"k0")])  # what was written last is never compacted
    return len(read(broker.bootstrap, [topics.input])[topics.input])


def test_records_that_no_output_takes_become_stubs_and_the_next_ones_go_on(
    broker: Broker, fruit: Path, make_worker: Make
) -> None:
    topics = make_topics(
        broker, input_settings={"max.message.bytes": "4000000"}, output_settings={"max.message.bytes": "1100000"}
    )
    worker = make_worker(settings(broker.bootstrap, topics, fruit)).start()
    good = messages(50, 12)
    large = [
        Message(b'{"source":"' + b"a" * 1_500_000 + b'"}'),
        Message(good[0].value, b"key" * 400_000),
        Message(good[1].value, headers=(("own", b"h" * 1_200_000),)),
        Message(good[2].value, headers=tuple((f"h{number}", b"h" * 50) for number in range(20_000))),
        Message(None, b"k" * 1_500_000),
    ]
    mixed = [message for pair in zip(large, good[:5], strict=True) for message in pair] + good[5:]
    send(broker.bootstrap, topics.input, mixed)
    await_end(broker, topics, worker)
    assert worker.stop()[0] == 0, worker.log()
    report = assert_sound(broker, topics, group_of(topics))
    assert report.inputs == len(mixed)
    stubs = [one for one in read(broker.bootstrap, [topics.dead_letter])[topics.dead_letter] if not one.value]
    assert {header(one, "guard-reason") for one in stubs if header(one, "guard-value-sha256")} == {"too_large"}
    assert [place for place, sink in sorted(report.verdicts.items()) if sink == "dead letter"][:1] == [(0, 0)]
