"""The four topics of a guard on a test's broker: made under names of their own, filled, and read to their ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from kafka import TopicPartition
from kafka.admin import NewTopic, OffsetSpec

from deploy.kafka.launcher import Broker

READ_SECONDS = 60.0
_COUNTER = itertools.count()


class Record(NamedTuple):
    """A record as it lies in a topic; `timestamp` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Message(NamedTuple):
    """A record that a sender is about to send; without `timestamp_ms` it gets the time of sending."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int = 0
    timestamp_ms: int | None = None


@dataclass(frozen=True)
class Topics:
    """The names of one guard's topics, and how many partitions each has."""

    input: str
    clean: str
    quarantine: str
    dead_letter: str
    partitions: int = 1

    @property
    def sinks(self) -> tuple[str, str, str]:
        """Where a record can go."""
        return self.clean, self.quarantine, self.dead_letter


def make_topics(
    broker: Broker,
    partitions: int = 1,
    *,
    input_settings: Mapping[str, str] | None = None,
    output_settings: Mapping[str, str] | None = None,
) -> Topics:
    """Four new topics under a new prefix."""
    own = f"t{next(_COUNTER)}"
    topics = Topics(f"{own}.samples", f"{own}.clean", f"{own}.quarantine", f"{own}.dead-letter", partitions)
    settings = dict.fromkeys(topics.sinks, output_settings) | {topics.input: input_settings}
    wanted = [NewTopic(name, partitions, 1, topic_configs=dict(found or {})) for name, found in settings.items()]
    admin = broker.admin()
    admin.create_topics(wanted, wait_for_metadata=True)
    admin.close()
    return topics


def send(bootstrap: str, topic: str, messages: Iterable[Message], **options: Any) -> list[int]:
    """Sends all messages and waits until each is acknowledged; their offsets, in order. `options`: the producer's."""
    return asyncio.run(send_all(bootstrap, topic, messages, **options))


async def send_all(bootstrap: str, topic: str, messages: Iterable[Message], **options: Any) -> list[int]:
    """As `send`, within an event loop."""
    settings = {"acks": "all", "linger_ms": 5, "max_request_size": 16 << 20, "enable_idempotence": True, **options}
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, **settings) as producer:
        return await send_with(producer, topic, messages)


async def send_with(producer: AIOKafkaProducer, topic: str, messages: Iterable[Message]) -> list[int]:
    """Sends with a producer that is open already."""
    futures = [
        await producer.send(
            topic,
            message.value,
            key=message.key,
            partition=message.partition,
            timestamp_ms=message.timestamp_ms,
            headers=list(message.headers),
        )
        for message in messages
    ]
    return [found.offset for found in await asyncio.gather(*futures)]


def read(bootstrap: str, names: Sequence[str], **options: Any) -> dict[str, list[Record]]:
    """All committed records of each topic, by partition and offset, up to the ends that they have now."""
    return asyncio.run(read_all(bootstrap, names, **options))


async def read_all(bootstrap: str, names: Sequence[str], **options: Any) -> dict[str, list[Record]]:
    """As `read`, within an event loop."""
    found: dict[str, list[Record]] = {name: [] for name in names}
    settings = {"isolation_level": "read_committed", "auto_offset_reset": "earliest", "enable_auto_commit": False}
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=bootstrap, **{**settings, **options})
    await consumer.start()
    try:
        async with asyncio.timeout(READ_SECONDS) as patience:
            await _read_into(found, consumer, patience)
    finally:
        await consumer.stop()
    for records in found.values():
        records.sort(key=lambda record: (record.partition, record.offset))
    return found


async def _read_into(found: dict[str, list[Record]], consumer: AIOKafkaConsumer, patience: asyncio.Timeout) -> None:
    partitions = consumer.assignment()
    missing = found.keys() - {partition.topic for partition in partitions}
    assert not missing, f"missing topics: {missing}"
    ends = await consumer.end_offsets(partitions)
    for partition in partitions:
        while await consumer.position(partition) < ends[partition]:
            for many in (await consumer.getmany(timeout_ms=200)).values():
                patience.reschedule(asyncio.get_running_loop().time() + READ_SECONDS)
                for one in many:
                    place = (one.topic, one.partition, one.offset, one.timestamp)
                    found[one.topic].append(Record(*place, one.key, one.value, tuple(one.headers)))


def committed(broker: Broker, group: str, topics: Topics) -> dict[int, int]:
    """The offset that the group has committed, for each partition of the input; 0 where there is none."""
    admin = broker.admin()
    try:
        offsets = admin.list_group_offsets(group).get(group, {})
    finally:
        admin.close()
    found = {place.partition: at.offset for place, at in offsets.items() if place.topic == topics.input}
    return {partition: max(0, found.get(partition, 0)) for partition in range(topics.partitions)}


def ends(broker: Broker, topic: str) -> dict[int, int]:
    """The end of each partition: the offset that the next record will have."""
    admin = broker.admin()
    try:
        partitions = [one["partition_index"] for one in admin.describe_topics([topic])[0]["partitions"]]
        wanted = {TopicPartition(topic, partition): OffsetSpec.LATEST for partition in partitions}
        return {place.partition: found.offset for place, found in admin.list_partition_offsets(wanted).items()}
    finally:
        admin.close()
