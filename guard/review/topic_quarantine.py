"""The quarantine of a guard on Kafka: the topics of what is held, of decisions, and of what is clean.

`guard.review.topic_writer` says how decisions are written, and why none is lost or doubled.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guard.errors import GuardError
from guard.review.decision import Action, Decision, Place
from guard.review.desk import Desk, Outcome, Wish
from guard.review.held import Held, HeldRecord
from guard.review.quarantine import Retention
from guard.review.topic_records import read_held
from guard.review.topic_tail import RecordFinder, TopicTail
from guard.review.topic_writer import Draft, Superseded, TopicWriter, tell_failures_once, transactional_id
from guard.stream.brokers import open_admin
from guard.stream.security import Connection, connection
from guard.stream.settings import GuardSettings
from guard.stream.topics import TopicFacts, topic_facts

__all__ = ["Survey", "TopicQuarantine", "survey"]

_PATIENCE_SECONDS = 120.0
"""Two reviewers who decide at once supersede each other. With pauses that grow to many times what an attempt takes,
each of them gets its turn, and this is not reached."""

_SHORTEST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 10.0
_TRANSACTION_BYTES = 4 << 20
"""Values in one transaction; more would keep readers of the clean topic waiting for longer."""


@dataclass(frozen=True)
class Survey:
    """What was found of the topics before anything is read or written."""

    connection: Connection
    quarantine: str
    clean: str
    decisions: str
    retention: Retention


def survey(settings: GuardSettings) -> Survey:
    """Asks for the three topics; refuses those with which a decision could be lost. Not for a running event loop.

    Raises GuardError with what to do, BrokersUnreachable.
    """
    from kafka.errors import KafkaError

    names, words = settings.topics, connection(settings.kafka)
    wanted = (names.quarantine, names.clean, names.ledger)
    try:
        with open_admin(words) as admin:
            found = topic_facts(admin, wanted)
    except KafkaError as error:
        raise GuardError(f"the brokers refuse a question: {error}; see what they log") from error
    faults = list(_faults(found, settings))
    if faults:
        raise GuardError("\n".join(faults))
    return Survey(words, *wanted, _retention(found[names.quarantine]))


class TopicQuarantine:
    """The quarantine of one guard. `open` reads it to its present end."""

    def __init__(self, found: Survey) -> None:
        self.title = found.quarantine
        self.desk = Desk()
        self.retention = found.retention
        self.first: Mapping[int, int] = {}
        self._held = TopicTail(found.connection, found.quarantine)
        self._decided = TopicTail(found.connection, found.decisions)
        self._finder = RecordFinder(found.connection, found.quarantine)
        self._writer = TopicWriter(found.connection, clean=found.clean, decisions=found.decisions)
        self._name = transactional_id(found.decisions)
        self._reading = asyncio.Lock()
        self._settling = asyncio.Lock()

    async def open(self) -> None:
        """Connect and read. Raises GuardError."""
        tell_failures_once(asyncio.get_running_loop())
        with _told(self.title):
            for part in (self._held, self._decided, self._finder):
                await part.open()
        await self.refresh()

    async def close(self) -> None:
        """See `Quarantine`."""
        await self._writer.give_up()
        for part in (self._held, self._decided, self._finder):
            await part.close()

    async def refresh(self) -> None:
        """See `Quarantine`. Raises GuardError."""
        async with self._reading:
            with _told(self.title):
                await self._read_held()
                await self._read_decisions()
                self.first = await self._held.first()
                self.desk.queue.expire(self.first)
        self.retention = Retention(self.retention.seconds, self.retention.bounded, self._lost())

    async def records(self, held: Sequence[Held]) -> list[HeldRecord | None]:
        """See `Quarantine`. Raises GuardError."""
        with _told(self.title):
            found = await self._finder.find([one.place for one in held])
        return [_as_listed(one, found.get(one.place)) for one in held]

    async def settle(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """See `Quarantine`. Raises GuardError."""
        async with self._settling:
            outcomes: list[Outcome] = []
            for some in _by_bytes(wishes):
                outcomes += await self._settle(some)
            return outcomes

    async def _settle(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """Steps 1 to 6 of the protocol, again until they succeed. What cannot be written is found out one by one."""
        clock, attempts = asyncio.get_running_loop().time, 0
        began = clock()
        while True:
            tried = clock()
            try:
                return await self._attempt(wishes)
            except Superseded as error:
                if clock() - began > _PATIENCE_SECONDS:
                    raise self._exhausted(error) from error
            except _Unwritable as error:
                if len(wishes) == 1:
                    return [Outcome(wishes[0], None, str(error))]
                return [outcome for wish in wishes for outcome in await self._settle([wish])]
            attempts += 1
            pause = max(_SHORTEST_PAUSE_SECONDS, clock() - tried) * 2 ** min(attempts, 10)
            await asyncio.sleep(random.uniform(0, min(_LONGEST_PAUSE_SECONDS, pause)))  # noqa: S311 – to spread out

    def _exhausted(self, error: Superseded) -> GuardError:
        return GuardError(
            f"{self.title}: no decision could be written for {_PATIENCE_SECONDS:g} s ({error}). Nothing is half done. "
            f"See whether the brokers run, and whether something else writes as {self._name}; then decide again."
        )

    async def _attempt(self, wishes: Sequence[Wish]) -> list[Outcome]:
        if not self._writer.current:
            await self._take_name()
        drafts, outcomes = self.desk.plan(wishes)
        ready, gone = await self._with_records(drafts)
        written = await self._write([draft for _, draft in ready]) if ready else []
        for decision in written:
            self.desk.settle(decision)
        done = [Outcome(wish, decision) for (wish, _), decision in zip(ready, written, strict=True)]
        return [*outcomes, *gone, *done]

    async def _take_name(self) -> None:
        with _superseding():
            await self._writer.take_name()
        try:
            async with self._reading:
                with _told(self.title):
                    await self._decided.settled()
                    await self._read_decisions()
        except BaseException:
            await self._writer.give_up()
            raise

    async def _write(self, drafts: Sequence[Draft]) -> list[Decision]:
        try:
            return await self._writer.write(drafts)
        except GuardError as error:
            raise _Unwritable(str(error)) from error

    async def _with_records(
        self, drafts: Sequence[tuple[Wish, Decision]]
    ) -> tuple[list[tuple[Wish, Draft]], list[Outcome]]:
        """Each draft with the record that it releases, and the outcome where that one is gone."""
        released = [wish.held for wish, _ in drafts if wish.action is Action.RELEASED]
        found = dict(zip([held.origin for held in released], await self.records(released), strict=True))
        ready, gone = [], []
        for wish, decision in drafts:
            record = found.get(wish.held.origin)
            if wish.action is Action.RELEASED and record is None:
                gone.append(Outcome(wish, None, "it has expired: the quarantine topic holds it no longer"))
            else:
                ready.append((wish, Draft(decision, record)))
        return ready, gone

    async def _read_held(self) -> None:
        async for records in self._held.read():
            for record in records:
                found = read_held(record)
                if found is None:
                    self.desk.foreign += 1
                else:
                    self.desk.hold(found.held)

    async def _read_decisions(self) -> None:
        async for records in self._decided.read():
            for record in records:
                self.desk.believe(record.key, record.value, Place(record.topic, record.partition, record.offset))

    def _lost(self) -> int:
        """At most so many records are gone undecided: those before the first offset about which nothing was decided."""
        decided = sum(
            decision.action is not Action.REOPENED and decision.held.offset < self.first.get(decision.held.partition, 0)
            for decision in self.desk.ledger.in_force()
        )
        return max(0, sum(self.first.values()) - decided)


class _Unwritable(Exception):
    """The brokers refuse the transaction, and would again."""


class _told:  # noqa: N801 – read as a word: with _told(…)
    """What a client says, as advice."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from aiokafka.errors import KafkaError

        if isinstance(error, KafkaError):
            raise GuardError(
                f"{self._title} cannot be read ({error}). See whether the brokers run, and docs/review.md for the "
                "rights that a reviewer needs."
            ) from error


class _superseding:  # noqa: N801 – as above
    """A failure to take the name is one more attempt."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from aiokafka.errors import KafkaError

        if isinstance(error, KafkaError | TimeoutError | OSError):
            raise Superseded(f"{type(error).__name__}: {error}") from error


def _faults(found: Mapping[str, TopicFacts], settings: GuardSettings) -> Iterator[str]:
    names = settings.topics
    for name, topic in found.items():
        if not topic.partitions:
            why = "is not there, or this user may not see it" if topic.hidden else "is not there"
            yield f"topic {name} {why}. Create it with `depois topics create`; for rights see docs/review.md."
    held, decisions = found[names.quarantine], found[names.ledger]
    for name in (names.clean, names.ledger):
        if 0 < found[name].partitions < held.partitions:
            yield (
                f"topic {name} has {found[name].partitions} partitions and {held.name} {held.partitions}. Give it as "
                f"many: kafka-topics --alter --topic {name} --partitions {held.partitions}."
            )
    policy = decisions.configs.get("cleanup.policy", "compact")
    if policy != "compact":
        yield (
            f"topic {names.ledger}: cleanup.policy is {policy}, so decisions would be forgotten and records released "
            f"twice. kafka-configs --alter --topic {names.ledger} --add-config cleanup.policy=compact."
        )


def _retention(topic: TopicFacts) -> Retention:
    if not topic.configs:
        return Retention(math.nan)
    kept = int(topic.configs.get("retention.ms", -1))
    bounded = int(topic.configs.get("retention.bytes", -1)) != -1
    return Retention(math.inf if kept < 0 else kept / 1000, bounded)


def _as_listed(held: Held, record: Any) -> HeldRecord | None:
    """The record, if it is still the one that was listed."""
    found = None if record is None else read_held(record)
    same = found is not None and (found.held.origin, found.held.value_sha256) == (held.origin, held.value_sha256)
    return found if same else None


def _by_bytes(wishes: Sequence[Wish]) -> Iterator[list[Wish]]:
    some: list[Wish] = []
    size = 0
    for wish in wishes:
        if some and size + wish.held.size > _TRANSACTION_BYTES:
            yield some
            some, size = [], 0
        some.append(wish)
        size += wish.held.size
    if some:
        yield some
