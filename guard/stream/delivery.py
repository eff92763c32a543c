"""Step 5 and 6: every record is produced to exactly one output, and every delivery is awaited.

A batch that the broker rejects breaks the sequence of aiokafka's idempotent producer: the next send of a good record
fails. So `guard.stream.outgoing` checks sizes before anything is sent, and after any failure nothing is sent again: the
process ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guard.errors import GuardError
from guard.routing import Sink
from guard.stream.outgoing import Outgoing

__all__ = ["FAILURES", "Delivery", "DeliveryFailed"]

_KINDS = {
    "MessageSizeTooLargeError": "too_large",
    "RecordListTooLargeError": "too_large",
    "TopicAuthorizationFailedError": "denied",
    "ClusterAuthorizationFailedError": "denied",
    "UnknownTopicOrPartitionError": "no_topic",
    "AssertionError": "no_topic",  # aiokafka, for a partition that the topic does not have
    "KafkaTimeoutError": "timeout",
    "RequestTimedOutError": "timeout",
    "OutOfOrderSequenceNumber": "sequence",
    "InvalidTimestampError": "timestamp",
}
_ADVICE = {
    "too_large": "Raise max.message.bytes of the topic, or lower guard.max_batch_bytes.",
    "denied": "Grant the guard's user WRITE on the topic.",
    "no_topic": "Make the topics with as many partitions as the input has: depois topics create.",
    "timeout": "See whether the brokers are up and have enough replicas in sync.",
    "sequence": "Restart the guard; a batch before this one was refused.",
    "timestamp": "Let message.timestamp.after.max.ms and .before.max.ms of the topic be as wide as the input's.",
    "other": "Run: depois guard check.",
}
FAILURES = tuple(_ADVICE)
"""The closed set of kinds of failure, for a metric's label."""


class DeliveryFailed(GuardError):
    """A delivery was refused, or not confirmed in time. The process must end before it acknowledges the batch."""

    def __init__(self, message: str, sink: Sink, kind: str) -> None:
        super().__init__(message)
        self.sink = sink
        self.kind = kind


class Delivery:
    """Produces to the output topics over one idempotent producer, which it neither starts nor stops."""

    def __init__(self, producer: Any, topics: Mapping[Sink, str], deadline_seconds: float) -> None:
        self._producer = producer
        self._topics = topics
        self._deadline = deadline_seconds

    async def deliver(self, partition: int, outgoing: Mapping[Sink, Sequence[Outgoing]]) -> None:
        """Returns when all records are written to partition number `partition` of their outputs, in order.

        Raises DeliveryFailed: nothing may be sent over this producer any more.
        """
        sent: list[tuple[Sink, asyncio.Future[Any]]] = []
        sink = Sink.CLEAN
        try:
            async with asyncio.timeout(self._deadline):
                for sink, records in outgoing.items():
                    for builder in self._batches(records):
                        future = await self._producer.send_batch(builder, self._topics[sink], partition=partition)
                        sent.append((sink, future))
                if sent:
                    await asyncio.wait([future for _, future in sent])
        except TimeoutError as error:
            raise self._late(sent) from error
        except Exception as error:
            raise self._refused(sink, partition, error) from error
        # Every future is looked at, also after the first has failed.
        failed = [(sink, fault) for sink, future in sent if (fault := future.exception()) is not None]
        if failed:
            raise self._refused(failed[0][0], partition, failed[0][1]) from failed[0][1]

    def _batches(self, records: Sequence[Outgoing]) -> Iterator[Any]:
        """The records in as few batches as hold them. A closed batch does not linger: nothing is added to it."""
        builder = self._producer.create_batch()
        for out in records:
            if builder.append(timestamp=out.timestamp, key=out.key, value=out.value, headers=out.headers) is None:
                yield builder
                builder = self._producer.create_batch()
                builder.append(timestamp=out.timestamp, key=out.key, value=out.value, headers=out.headers)
        if builder.record_count():
            builder.close()
            yield builder

    def _late(self, sent: Sequence[tuple[Sink, asyncio.Future[Any]]]) -> DeliveryFailed:
        open_sinks = [sink for sink, future in sent if not future.done()] or list(self._topics)
        names = ", ".join(sorted({self._topics[sink] for sink in open_sinks}))
        return DeliveryFailed(
            f"no broker confirmed a delivery to {names} within {self._deadline:g} s. Nothing is lost: the records are "
            "read again. See whether the brokers are up and have enough replicas in sync.",
            open_sinks[0],
            "timeout",
        )

    def _refused(self, sink: Sink, partition: int, error: BaseException) -> DeliveryFailed:
        kind = _KINDS.get(type(error).__name__, "other")
        return DeliveryFailed(
            f"{self._topics[sink]}, partition {partition}: {type(error).__name__}: {error}. Nothing is lost: the "
            f"records are read again. {_ADVICE[kind]}",
            sink,
            kind,
        )
