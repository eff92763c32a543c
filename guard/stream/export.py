"""A topic as JSON Lines, each origin once: read from the brokers, or from an export that `kcat -J` wrote.

A line is what `kcat -J` writes: `topic`, `partition`, `offset`, `ts` (ms), `headers` (names and values in turn), `key`
and `payload`; bytes that are no UTF-8 stand in `key_base64` and `payload_base64` instead.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from guard.errors import GuardError
from guard.stream.dedupe import Deduplicator, Origin, origin_of
from guard.stream.security import Connection

__all__ = ["Counts", "export_lines", "export_topic", "one_line"]

_SILENCE_SECONDS = 30.0
"""Records up to an end that is known: when none comes for so long, none will, and waiting on would say nothing."""

_ANSWER_MILLISECONDS = 10_000
"""aiokafka looks for a topic that is not there for as long as it would wait for an answer."""

_POLL_MILLISECONDS = 500
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
"""In JSON a line end can only stand between two tokens: a space there means the same, and the record is one line."""

_encode = msgspec.json.Encoder().encode


@dataclass
class Counts:
    """`copies` were left out, `unreadable` lines too; records `without_origin`, which no guard wrote, were kept."""

    records: int = 0
    copies: int = 0
    without_origin: int = 0
    unreadable: int = 0


class _Line(msgspec.Struct):
    """What of a line of `kcat -J` is needed to tell copies by."""

    topic: str = ""
    headers: list[str | None] | None = None
    payload: str | None = None


class _Once:
    """Counts records and says which of them are written. Topics are read apart: what was held may be released."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._seen = Deduplicator()

    def keeps(self, topic: str, origin: Origin | None) -> bool:
        self.counts.records += 1
        if origin is None:
            self.counts.without_origin += 1
            return True
        if self._seen.first(origin._replace(topic=f"{topic}/{origin.topic}")):
            return True
        self.counts.copies += 1
        return False


def export_lines(lines: Iterable[bytes], write: Callable[[bytes], object], *, values: bool = False) -> Counts:
    """Writes each of the `lines` of an export whose origin was not there before; only its payload with `values`."""
    once, decode = _Once(), msgspec.json.Decoder(_Line).decode
    for raw in lines:
        try:
            line = decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            once.counts.unreadable += 1
            continue
        flat = line.headers or []
        pairs = zip(flat[::2], flat[1::2], strict=False)
        origin = origin_of([(name or "", None if value is None else value.encode()) for name, value in pairs])
        if once.keeps(line.topic, origin):
            write(one_line((line.payload or "").encode()) if values else raw.rstrip(b"\r\n") + b"\n")
    return once.counts


async def export_topic(
    connection: Connection, topic: str, write: Callable[[bytes], object], *, values: bool = False
) -> Counts:
    """Writes each origin of a topic once, from its beginning to the end that it has now; joins no group.

    Raises GuardError when the topic is not there or may not be read, or when the brokers fall silent.
    """
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaError

    from guard.stream.lenient import read_leniently

    read_leniently()
    consumer = AIOKafkaConsumer(
        topic,
        **connection.aiokafka,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        request_timeout_ms=_ANSWER_MILLISECONDS,
    )
    once = _Once()
    try:
        await consumer.start()
        async for record in _up_to_the_end(consumer):
            if once.keeps(record.topic, origin_of(record.headers)):
                write(one_line(record.value or b"") if values else _as_line(record))
    except KafkaError as error:
        raise GuardError(
            f"{topic} cannot be read ({error}). See whether it is there, and what `depois guard check` says."
        ) from error
    finally:
        await consumer.stop()
    return once.counts


async def _up_to_the_end(consumer: Any) -> Any:
    partitions = sorted(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    # One partition after the other: the order of the lines is then the same each time.
    for partition in partitions:
        consumer.pause(*partitions)
        consumer.resume(partition)
        while await consumer.position(partition) < ends[partition]:
            for record in await _next_records(consumer, partition):
                if record.offset < ends[partition]:
                    yield record


async def _next_records(consumer: Any, partition: Any) -> list[Any]:
    """The next records; none where the position moved on over records that were never committed."""
    start = await consumer.position(partition)
    try:
        async with asyncio.timeout(_SILENCE_SECONDS):
            while True:
                found = await consumer.getmany(partition, timeout_ms=_POLL_MILLISECONDS)
                if found or await consumer.position(partition) > start:
                    records: list[Any] = found.get(partition, [])
                    return records
    except TimeoutError as error:
        raise GuardError(
            f"{partition.topic}: no record for {_SILENCE_SECONDS:g} s before the end was reached. See whether the "
            "brokers run, and whether a transaction was left open."
        ) from error


def _as_line(record: Any) -> bytes:
    headers: list[str | None] = []
    for name, value in record.headers:
        headers += [name, None if value is None else value.decode(errors="backslashreplace")]
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "ts": record.timestamp}
    content = {**_text("key", record.key), **_text("payload", record.value)}
    return _encode({**place, "headers": headers, **content}) + b"\n"


def _text(name: str, content: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if content is None else content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content or b"").decode()}


def one_line(value: bytes) -> bytes:
    """A sample as one line with LF."""
    return value.translate(_LINE_ENDS) + b"\n"
