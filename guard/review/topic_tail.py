"""A topic read from its beginning to its present end, and on from there; and single records of it by their place."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

from guard.errors import GuardError
from guard.review.decision import Place
from guard.stream.lenient import read_leniently
from guard.stream.security import Connection

__all__ = ["RecordFinder", "TopicTail"]

_ANSWER_MILLISECONDS = 10_000
_POLL_MILLISECONDS = 500
_SILENCE_SECONDS = 30.0
"""Records up to an end that is known: when none comes for so long, none will, and waiting on would say nothing."""

_SETTLED_SECONDS = 20.0
"""Twice as long as the brokers let a transaction of a reviewer stay open."""

_PAUSE_SECONDS = 0.05

_FETCH_BYTES = 128 << 10
"""Single records are looked up; a fetch of the default size would read a megabyte for each."""

_GAP = 500
"""Offsets between two wanted records over which it is quicker to read on than to ask anew."""


def _consumer(connection: Connection, *topics: str, **options: Any) -> Any:
    from aiokafka import AIOKafkaConsumer

    read_leniently()
    words = {
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "enable_auto_commit": False,
        "request_timeout_ms": _ANSWER_MILLISECONDS,
    }
    return AIOKafkaConsumer(*topics, **connection.aiokafka, **{**words, **options})


class TopicTail:
    """Reads committed records of one topic. Joins no group, so it needs no right but READ."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._topic = topic
        self._consumer = _consumer(connection, topic)
        self._peeker = _consumer(connection, topic, isolation_level="read_uncommitted")

    async def open(self) -> None:
        """Connect. Raises KafkaError."""
        await self._consumer.start()
        await self._peeker.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._peeker.stop()

    async def first(self) -> dict[int, int]:
        """The first offset that each partition still holds."""
        found = await self._consumer.beginning_offsets(self._consumer.assignment())
        return {place.partition: offset for place, offset in found.items()}

    async def read(self) -> AsyncIterator[Sequence[Any]]:
        """What is committed and was not read yet, up to the end that there is now. Raises GuardError, KafkaError."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        silent_since = asyncio.get_running_loop().time()
        while await self._lag(ends):
            found = await self._consumer.getmany(timeout_ms=_POLL_MILLISECONDS)
            for records in found.values():
                yield records
            now = asyncio.get_running_loop().time()
            silent_since = now if found else silent_since
            if now - silent_since > _SILENCE_SECONDS:
                raise GuardError(f"{self._topic}: no record for {_SILENCE_SECONDS:g} s. See whether the brokers run.")

    async def settled(self) -> None:
        """Wait until no transaction is open in the topic, so that `read` sees all that will ever stand before its end.

        Raises GuardError where one stays open: somebody else writes there, or a broker is without its coordinator.
        """
        deadline = asyncio.get_running_loop().time() + _SETTLED_SECONDS
        while True:
            latest = await self._peeker.end_offsets(self._peeker.assignment())
            stable = await self._consumer.end_offsets(self._consumer.assignment())
            if all(stable[place] >= end for place, end in latest.items()):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise GuardError(
                    f"{self._topic}: a transaction of somebody else has been open for {_SETTLED_SECONDS:g} s, so it "
                    "cannot be seen what was decided. Find it with `kafka-transactions find-hanging`, and see who may "
                    "write there."
                )
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _lag(self, ends: dict[Any, int]) -> bool:
        for place, end in ends.items():
            if await self._consumer.position(place) < end:
                return True
        return False


class RecordFinder:
    """Reads single records of one topic by partition and offset."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._topic = topic
        self._consumer = _consumer(connection, max_partition_fetch_bytes=_FETCH_BYTES)
        self._busy = asyncio.Lock()

    async def open(self) -> None:
        """Connect. Raises KafkaError."""
        await self._consumer.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._consumer.stop()

    async def find(self, places: Sequence[Place]) -> dict[Place, Any]:
        """The records at these places; those that are gone are left out. Raises KafkaError."""
        from aiokafka import TopicPartition

        by_partition: dict[int, list[int]] = defaultdict(list)
        for place in places:
            by_partition[place.partition].append(place.offset)
        found: dict[Place, Any] = {}
        async with self._busy:
            for number, offsets in by_partition.items():
                partition = TopicPartition(self._topic, number)
                for record in await self._partition(partition, sorted(set(offsets))):
                    found[Place(self._topic, number, record.offset)] = record
        return found

    async def _partition(self, partition: Any, offsets: list[int]) -> list[Any]:
        self._consumer.assign([partition])
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        wanted = deque(offset for offset in offsets if offset >= first)
        found: list[Any] = []
        at = -_GAP
        while wanted:
            if not 0 <= wanted[0] - at < _GAP:
                self._consumer.seek(partition, wanted[0])
            records = (await self._consumer.getmany(partition, timeout_ms=_ANSWER_MILLISECONDS)).get(partition, [])
            if not records:
                break
            at = records[-1].offset + 1
            by_offset = {record.offset: record for record in records}
            while wanted and wanted[0] < at:
                if (record := by_offset.get(wanted.popleft())) is not None:
                    found.append(record)
        return found
