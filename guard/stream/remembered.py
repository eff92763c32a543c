"""Evidence on a compacted topic: one record for each input partition, and the last of it counts.

The key is cluster/topic/partition of the input, the value everything counted there, up to which offset (`Evidence`).
So what was counted and up to where is written whole or not at all: a guard that takes over reads the last state, passes
over what that has counted and counts the rest. What a killed guard had counted and not yet written is lost, at most
`keep_seconds` of it; that depends on nobody's p-values, so the evidence stays valid. A guard that was frozen and goes
on may write an old state; who reads passes over a state that is behind another one. So is what cannot be read, and what
stands under a key that is not its own.

Writing never stops the stream: what fails is told, counted, and written again with the next state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from guard.blame import StateUnreadable
from guard.errors import GuardError
from guard.stream.evidence import Evidence
from guard.stream.security import Connection

__all__ = ["Remembered"]

_LOG = structlog.get_logger("guard.evidence")

_READ_SECONDS = 30.0
"""All states together are a few MB; a broker that does not give them in this time is down."""

_WRITE_SECONDS = 5.0
_POLL_MILLISECONDS = 200
_MOST_BYTES = 4 << 20


class Remembered:
    """Reads and writes the topic with clients of its own, which never touch records of the stream."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._reader: Any = None
        self._writer: Any = None
        self._turn = asyncio.Lock()
        self._latest: dict[str, int] = {}

    async def start(self) -> None:
        """Opens both clients. Raises GuardError when the topic is not there."""
        from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

        from guard.stream.backoff import back_off

        words = self._connection.aiokafka
        self._writer = back_off(
            AIOKafkaProducer(**words, acks="all", compression_type="gzip", max_request_size=_MOST_BYTES)
        )
        self._reader = AIOKafkaConsumer(**words, auto_offset_reset="earliest", enable_auto_commit=False)
        await self._writer.start()
        await self._reader.start()
        partitions = await self._writer.partitions_for(self._topic)
        if not partitions:
            raise GuardError(f"topic {self._topic}: it is not there. Create it with `depois topics create`.")
        self._reader.assign([TopicPartition(self._topic, partition) for partition in sorted(partitions)])

    async def stop(self) -> None:
        """Closes both clients."""
        for client in (self._reader, self._writer):
            if client is not None:
                await client.stop()

    async def news(self) -> list[Evidence]:
        """What was written since the last call, up to the end that the topic has now; nothing that is behind.

        Raises GuardError when the brokers do not give it in time.
        """
        async with self._turn:
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    return [evidence async for evidence in self._read()]
            except TimeoutError as error:
                raise GuardError(
                    f"topic {self._topic} was not read within {_READ_SECONDS:g} s. See whether the brokers are up."
                ) from error

    async def end_of(self, topic: str, partition: int) -> int:
        """The end of an input partition: the offset that its next record gets."""
        from aiokafka import TopicPartition

        place = TopicPartition(topic, partition)
        ends = await self._reader.end_offsets([place])
        end: int = ends[place]
        return end

    async def write(self, evidence: Mapping[str, bytes]) -> bool:
        """Writes it, by place, and waits until they are on disk. False, and a line in the log, where that fails."""
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                for place, content in evidence.items():
                    await self._writer.send_and_wait(self._topic, content, key=place.encode())
        except Exception as error:  # noqa: BLE001 – whatever the client raises, records must go on being judged
            _LOG.warning("evidence could not be written", topic=self._topic, reason=repr(error))
            return False
        return True

    async def _read(self) -> Any:
        partitions = sorted(self._reader.assignment())
        ends = await self._reader.end_offsets(partitions)
        found: list[Any] = []
        for partition in partitions:
            while await self._reader.position(partition) < ends[partition]:
                batch = await self._reader.getmany(partition, timeout_ms=_POLL_MILLISECONDS)
                found += batch.get(partition, [])
        for record in found:
            evidence = _evidence(record)
            if evidence is not None and evidence.through >= self._latest.get(evidence.place, 0):
                self._latest[evidence.place] = evidence.through
                yield evidence


def _evidence(record: Any) -> Evidence | None:
    try:
        found = Evidence.from_bytes(record.value or b"")
    except StateUnreadable as error:
        _LOG.error("a record of evidence is passed over", offset=record.offset, reason=str(error))
        return None
    if found.place.encode() != record.key:
        _LOG.error("a record of evidence is passed over", offset=record.offset, reason="its key is of another place")
        return None
    return found
