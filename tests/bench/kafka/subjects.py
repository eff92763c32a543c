"""The programs that the guard is compared with: `python -m tests.bench.kafka.subjects NAME JSON`, until it is killed.

JSON: `config` (a settings file of the guard, which names broker, topics and group), `kind` and `model` of the scorer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from guard.stream.app import GuardApp, _faust_settings
from guard.stream.security import connection
from guard.stream.settings import GuardSettings, load_settings
from guard.stream.transport import ListConsumer
from tests.bench.scorer import Kind, Scorer

__all__ = ["SUBJECTS", "main"]

_BATCH_BYTES = 256 * 1024
_COMMIT_SECONDS = 0.1
_TAKE_SECONDS = 0.05


@dataclass(frozen=True)
class Part:
    """What a subject is told."""

    settings: GuardSettings
    kind: Kind
    model: str

    def scorer(self) -> Scorer:
        """Decoding and ONNX Runtime."""
        return Scorer(self.kind, self.model)

    def producer(self) -> AIOKafkaProducer:
        """As the guard's own."""
        return AIOKafkaProducer(
            bootstrap_servers=list(self.settings.kafka.bootstrap),
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
        )


async def _pass_on(producer: AIOKafkaProducer, topic: str, records: Sequence[Any]) -> None:
    """The same bytes to the same partition number, every delivery awaited."""
    partition, futures = records[0].partition, []
    builder = producer.create_batch()
    for record in records:
        if builder.append(timestamp=record.timestamp, key=record.key, value=record.value) is None:
            futures.append(await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(timestamp=record.timestamp, key=record.key, value=record.value)
    builder.close()
    futures.append(await producer.send_batch(builder, topic, partition=partition))
    await asyncio.gather(*futures)


async def _floor(part: Part, scorer: Callable[[list[bytes]], Any] | None) -> None:
    """aiokafka's `getmany` and `send_batch`, as little as a program on Kafka can do in Python."""
    settings = part.settings
    consumer = AIOKafkaConsumer(
        *settings.topics.input,
        bootstrap_servers=list(settings.kafka.bootstrap),
        group_id=settings.kafka.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 << 20,
    )
    async with consumer, part.producer() as producer:
        committed = time.monotonic()
        while True:
            lists = await consumer.getmany(timeout_ms=200, max_records=settings.guard.batch_records)
            for records in lists.values():
                if scorer is not None:
                    scorer([record.value for record in records])
                await _pass_on(producer, settings.topics.clean, records)
            if lists and time.monotonic() - committed > _COMMIT_SECONDS:
                await consumer.commit()
                committed = time.monotonic()


def _run_floor(part: Part) -> None:
    asyncio.run(_floor(part, None))


def _run_floor_model(part: Part) -> None:
    asyncio.run(_floor(part, part.scorer()))


class _TransportOnly(GuardApp):
    """The guard's app with its transport, settings and producer, which passes lists on as they come."""

    async def on_first_start(self) -> None:
        self._out = _part(self.settings).producer()
        await self._out.start()

    async def _judge(self, stream: Any) -> None:
        clean = self.settings.topics.clean
        async for event in stream.noack().events():
            cast("ListConsumer", self.consumer).model_free()  # there is none
            await _pass_on(self._out, clean, event.value)
            event.ack()


def _part(settings: GuardSettings) -> Part:
    return Part(settings, "rows", "")


def _run_transport(part: Part) -> None:
    # No bundle serves here; after ten seconds the guard would look for a new one.
    still = part.settings.model.model_copy(update={"reload_seconds": 0})
    settings = part.settings.model_copy(update={"model": still})
    faust.Worker(_TransportOnly(settings), loglevel="ERROR", quiet=True).execute_from_commandline()


def _run_faust(part: Part, judge: Callable[[Any, Any, Scorer], Any]) -> None:
    """An app as Faust's own guide writes it, with the guard's group and session settings."""
    settings, scorer = part.settings, part.scorer()
    own = ("broker", "broker_session_timeout", "broker_heartbeat_interval", "broker_max_poll_records")
    same = {name: _faust_settings(settings, connection(settings.kafka))[name] for name in own}
    app = faust.App(
        settings.kafka.group,
        **same,
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        producer_acks=-1,
        web_enabled=False,
    )
    clean = app.topic(settings.topics.clean)

    async def agent(stream: Any) -> None:
        await judge(stream, clean, scorer)

    app.agent(app.topic(*settings.topics.input), name="plain")(agent)
    faust.Worker(app, loglevel="ERROR", quiet=True).execute_from_commandline()


async def _by_events(stream: Any, clean: Any, scorer: Scorer) -> None:
    async for event in stream.events():
        scorer([event.value])
        await clean.send(key=event.key, value=event.value, partition=event.message.partition)


async def _by_take(stream: Any, clean: Any, scorer: Scorer) -> None:
    async for values in stream.take(2000, within=_TAKE_SECONDS):
        scorer(values)
        for value in values:
            await clean.send(value=value, partition=0)


SUBJECTS: dict[str, Callable[[Part], None]] = {
    "floor": _run_floor,
    "floor+model": _run_floor_model,
    "transport": _run_transport,
    "faust events": lambda part: _run_faust(part, _by_events),
    "faust take": lambda part: _run_faust(part, _by_take),
}


def main() -> None:
    name, told = sys.argv[1], json.loads(sys.argv[2])
    sys.argv[1:] = []
    SUBJECTS[name](Part(load_settings(Path(told["config"])), told["kind"], told["model"]))


if __name__ == "__main__":
    main()
