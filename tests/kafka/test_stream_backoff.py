"""A producer whose broker went in good order: its partition has no leader, and nobody answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer

from deploy.kafka.launcher import Broker
from guard.stream.backoff import LEAST_SECONDS, back_off
from tests.support.topics import make_topics, read

SECONDS = 2.0
OPTIONS = {"linger_ms": 5, "enable_idempotence": True, "request_timeout_ms": 60_000}


def test_it_looks_ten_times_a_second_at_most_and_the_record_arrives(own_broker: Broker) -> None:
    topic = make_topics(own_broker, 2).input

    async def looked() -> tuple[int, int]:
        async with back_off(AIOKafkaProducer(bootstrap_servers=own_broker.bootstrap, **OPTIONS)) as producer:
            pump = asyncio.create_task(_send_steadily(producer, topic))
            await asyncio.to_thread(own_broker.stop)
            tried = _counted(producer)
            await asyncio.sleep(SECONDS)  # so long is counted
            count = len(tried)
            pump.cancel()
            own_broker.start()  # in this thread: with another one the broker would end
            sent = await pump
            await asyncio.wait_for(asyncio.gather(*sent), 60)
            return count, len(sent)

    count, sent = asyncio.run(looked())
    assert 4 <= count <= 2 * (SECONDS / LEAST_SECONDS + 1)  # the delivery tries to connect, and so do the metadata
    assert sent == len(read(own_broker.bootstrap, [topic])[topic])


async def _send_steadily(producer: AIOKafkaProducer, topic: str) -> list[asyncio.Future[Any]]:
    sent = []
    with suppress(asyncio.CancelledError):
        while True:
            sent.append(await producer.send(topic, b"steady", partition=len(sent) % 2))
            await asyncio.sleep(0.002)
    return sent


def _counted(producer: AIOKafkaProducer) -> list[int]:
    """Grows by one with each connection that is tried."""
    times: list[int] = []
    connect = producer.client._get_conn

    async def count(node: Any, **words: Any) -> Any:
        times.append(1)
        return await connect(node, **words)

    producer.client._get_conn = count
    return times
