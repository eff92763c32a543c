"""Decisions and what they release, written to Kafka in transactions under one name that all reviewers share.

The protocol: 1. take the name: `InitProducerId` with the shared transactional id gives this process a new epoch, ends
whatever transaction was open under an older one, and from then on the brokers refuse every older epoch; 2. read the
decisions to their end, when no transaction is open there any more; 3. plan what may still be decided; 4. begin a
transaction, write the released records to clean, and wait for their offsets; 5. write the decisions, which name these
offsets; 6. commit. A failure at any point after 1, whatever it is, leads back to 1.

Why nothing is doubled. Two decisions about one origin would need two commits. Each is made in an epoch, and epochs are
in order. In one epoch there is one process, which takes its own decisions into account. Across epochs: what an older
epoch committed was committed before 1, because 1 waits for a commit that has begun, and is refused after it; so 2 reads
it. A process that was superseded learns so at 4, 5 or 6, and nothing of that transaction is ever committed. Where the
answer to a commit is lost, 1 and 2 find out what became of it: the id of each decision was chosen before the first try.

Why nothing is lost. A record and the decision that releases it are in one transaction: both are there or neither. What
is not decided stays in the queue.

What readers see. With `read_committed`, each released record once. With `read_uncommitted` also those of transactions
that failed: copies, with the same `guard-origin` and `guard-decision`. A reviewer who is killed within a transaction
holds back readers with `read_committed` of the clean topic, at the open transaction, until the next reviewer decides or
the brokers end it after `TRANSACTION_SECONDS`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from guard.errors import GuardError
from guard.review.decision import Decision, Place, encode_decision
from guard.review.held import HeldRecord
from guard.review.topic_records import released_headers
from guard.stream.security import Connection

__all__ = ["TRANSACTION_SECONDS", "Draft", "Superseded", "TopicWriter", "tell_failures_once", "transactional_id"]

TRANSACTION_SECONDS = 10.0
"""How long a killed reviewer can hold back readers of the clean topic. A transaction takes far less."""

_ATTEMPT_SECONDS = 30.0
"""Longer than the brokers wait: what has not ended by then never will, and is begun anew."""

_CLOSE_SECONDS = 3.0
_REQUEST_MILLISECONDS = 10_000
_LONGEST_REQUEST = 64 << 20
"""As long as a record of the guard can be; the topics' own limits are smaller."""


class Superseded(Exception):
    """The transaction did not come about, or it is not known whether it did: begin at step 1."""


@dataclass(frozen=True)
class Draft:
    """A decision to write, with the record that it releases."""

    decision: Decision
    record: HeldRecord | None


def transactional_id(decisions: str) -> str:
    """The name under which all reviewers of one decisions topic write."""
    return f"depois-review.{decisions}"


class TopicWriter:
    """Writes decisions to one topic, and released records to another one, to the partition number of their origin."""

    def __init__(self, connection: Connection, *, clean: str, decisions: str) -> None:
        self._connection = connection
        self._clean = clean
        self._decisions = decisions
        self._producer: Any = None

    @property
    def current(self) -> bool:
        """Whether this process took the name, and has not noticed since that another one did."""
        return self._producer is not None

    async def take_name(self) -> None:
        """Step 1. Raises GuardError without the right to, KafkaError."""
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import TransactionalIdAuthorizationFailed

        from guard.stream.backoff import back_off

        await self.give_up()
        name = transactional_id(self._decisions)
        producer = back_off(
            AIOKafkaProducer(
                **self._connection.aiokafka,
                transactional_id=name,
                transaction_timeout_ms=int(TRANSACTION_SECONDS * 1000),
                request_timeout_ms=_REQUEST_MILLISECONDS,
                max_request_size=_LONGEST_REQUEST,
            )
        )
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                await producer.start()
        except TransactionalIdAuthorizationFailed as error:
            await _close(producer)
            user = self._connection.username or "…"
            raise GuardError(
                f"this user may not write as {name}. Let it: kafka-acls --add --allow-principal User:{user} "
                f"--operation WRITE --transactional-id {name}"
            ) from error
        except BaseException:
            await _close(producer)
            raise
        self._producer = producer

    async def write(self, drafts: Sequence[Draft]) -> list[Decision]:
        """Steps 4 to 6. Raises Superseded, and GuardError for what would fail again in the same way."""
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                return await self._transaction(drafts)
        except BaseException as error:
            await self.give_up()
            meaning = _meaning(error)
            if meaning is None:
                raise
            raise meaning from error

    async def give_up(self) -> None:
        """Drop the producer; what it had not committed is ended by whoever takes the name next, or by the brokers."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _close(producer)

    async def _transaction(self, drafts: Sequence[Draft]) -> list[Decision]:
        await self._producer.begin_transaction()
        sent = [await self._release(draft.decision, draft.record) for draft in drafts if draft.record is not None]
        places = iter(await _delivered(sent))
        decisions = [
            draft.decision
            if draft.record is None
            else msgspec.structs.replace(draft.decision, released=_place(next(places)))
            for draft in drafts
        ]
        await _delivered([await self._decide(decision) for decision in decisions])
        await self._producer.commit_transaction()
        return decisions

    async def _release(self, decision: Decision, record: HeldRecord) -> asyncio.Future[Any]:
        headers = released_headers(record, decision)
        timestamp = record.held.timestamp
        future: asyncio.Future[Any] = await self._producer.send(
            self._clean,
            record.value,
            key=record.key,
            partition=record.held.place.partition,
            timestamp_ms=timestamp,
            headers=headers,
        )
        return future

    async def _decide(self, decision: Decision) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = await self._producer.send(
            self._decisions,
            encode_decision(decision),
            key=decision.origin.encode(),
            partition=decision.held.partition,
        )
        return future


def tell_failures_once(loop: asyncio.AbstractEventLoop) -> None:
    """Keeps asyncio from printing what the failure of a transaction left in futures that nobody asks any more."""
    from aiokafka.errors import KafkaError

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not ("future" in context and isinstance(context.get("exception"), KafkaError)):
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)


async def _delivered(sent: Sequence[asyncio.Future[Any]]) -> list[Any]:
    """All of them, or the first failure when none is under way any more."""
    found = await asyncio.gather(*sent, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


def _place(sent: Any) -> Place:
    return Place(sent.topic, sent.partition, sent.offset)


def _meaning(error: BaseException) -> Exception | None:
    """What it means for the caller: begin anew, or give up; None where it is no matter of the brokers."""
    from aiokafka import errors

    lasting: list[tuple[type[BaseException], Callable[[Any], str]]] = [
        (
            errors.TopicAuthorizationFailedError,
            lambda e: f"this user may not WRITE {e}; docs/review.md lists the rights of a reviewer",
        ),
        (
            errors.MessageSizeTooLargeError,
            lambda _: "it is larger than the clean topic takes; raise max.message.bytes there",
        ),
        (
            errors.RecordListTooLargeError,
            lambda _: "it is larger than the clean topic takes; raise max.message.bytes there",
        ),
        (
            errors.InvalidTimestampError,
            lambda _: "the clean topic refuses its timestamp; see message.timestamp.before.max.ms and .after.max.ms",
        ),
    ]
    for kind, told in lasting:
        if isinstance(error, kind):
            return GuardError(told(error))
    if isinstance(error, errors.KafkaError | errors.IllegalOperation | TimeoutError | OSError):
        return Superseded(f"{type(error).__name__}: {error}")
    return None


async def _close(producer: Any) -> None:
    """Close within bounded time: one that was superseded waits for deliveries that never come."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.client.close()
