from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.producer.message_accumulator import BatchBuilder

from guard.routing import Sink
from guard.stream.delivery import Delivery, DeliveryFailed
from guard.stream.outgoing import Outgoing

TOPICS = {Sink.CLEAN: "clean", Sink.QUARANTINE: "held", Sink.DEAD_LETTER: "dead"}


class Producer:
    """Builds real batches, and answers each as it is told: with a result, an error, or never."""

    def __init__(self, *, batch_bytes: int = 4096, answers: dict[str, Any] | None = None) -> None:
        self._batch_bytes = batch_bytes
        self._answers = answers or {}
        self.sent: list[tuple[str, int, int]] = []
        self.sizes: list[int] = []

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(self._batch_bytes, 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        assert batch.closed(), "an open batch lingers"
        self.sent.append((topic, partition, batch.record_count()))
        self.sizes.append(batch.size())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer = self._answers.get(topic, "written")
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        elif answer != "never":
            future.set_result(answer)
        return future


def records(count: int, size: int = 100) -> list[Outgoing]:
    return [Outgoing(1_700_000_000_000, None, b"v" * size, [("guard-origin", b"%d" % n)]) for n in range(count)]


def deliver(producer: Producer, outgoing: dict[Sink, list[Outgoing]], seconds: float = 5) -> None:
    asyncio.run(Delivery(producer, TOPICS, seconds).deliver(2, outgoing))


def test_records_travel_in_few_batches_to_the_same_partition_number() -> None:
    producer = Producer(batch_bytes=4096)
    deliver(producer, {Sink.CLEAN: records(100), Sink.QUARANTINE: [], Sink.DEAD_LETTER: records(1)})
    assert sum(count for topic, _, count in producer.sent if topic == "clean") == 100
    assert {partition for _, partition, _ in producer.sent} == {2}
    assert [count for topic, _, count in producer.sent if topic == "dead"] == [1]
    assert "held" not in {topic for topic, _, _ in producer.sent}
    assert max(producer.sizes) <= 4096


def test_a_record_larger_than_a_batch_travels_alone() -> None:
    producer = Producer(batch_bytes=1024)
    deliver(producer, {Sink.CLEAN: [*records(2), *records(1, 5000), *records(2)]})
    assert [count for _, _, count in producer.sent] == [2, 1, 2]


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (MessageSizeTooLargeError(), "too_large", "Raise max.message.bytes"),
        (TopicAuthorizationFailedError("held"), "denied", "WRITE"),
        (UnknownTopicOrPartitionError(), "no_topic", "depois topics create"),
        (AssertionError("Unrecognized partition"), "no_topic", "depois topics create"),
        (RuntimeError("?"), "other", "depois guard check"),
    ],
)
def test_any_refused_delivery_fails_the_batch_and_says_what_to_do(error: Exception, kind: str, advice: str) -> None:
    with pytest.raises(DeliveryFailed, match=advice) as caught:
        deliver(Producer(answers={"held": error}), {Sink.CLEAN: records(3), Sink.QUARANTINE: records(1)})
    assert (caught.value.sink, caught.value.kind) == (Sink.QUARANTINE, kind)
    assert "Nothing is lost" in str(caught.value)


def test_a_delivery_that_nobody_confirms_fails_at_the_deadline() -> None:
    with pytest.raises(DeliveryFailed, match=r"dead within 0\.05 s") as caught:
        deliver(Producer(answers={"dead": "never"}), {Sink.CLEAN: records(1), Sink.DEAD_LETTER: records(1)}, 0.05)
    assert (caught.value.sink, caught.value.kind) == (Sink.DEAD_LETTER, "timeout")
