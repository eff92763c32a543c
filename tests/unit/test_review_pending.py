"""Decisions that wait: taken back, written when due, kept when writing fails, and each handed on once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from guard.errors import GuardError
from guard.review.batch import BATCH
from guard.review.decision import Action
from guard.review.desk import Desk, Outcome, Wish
from guard.review.held import Held, HeldRecord
from guard.review.pending import Pending
from guard.review.quarantine import FOREVER
from tests.support.held import decision_about, held_at


class Paper:
    """A quarantine of paper: writes what it is told, unless it is `broken`."""

    title = "paper"
    retention = FOREVER
    first: Mapping[int, int] = {}

    def __init__(self) -> None:
        self.desk = Desk()
        self.written: list[str] = []
        self.broken = False

    async def refresh(self) -> None:
        return None

    async def records(self, held: Sequence[Held]) -> list[HeldRecord | None]:
        return [None for _ in held]

    async def settle(self, wishes: Sequence[Wish]) -> list[Outcome]:
        if self.broken:
            raise GuardError("the brokers are away")
        self.written += [wish.id for wish in wishes]
        return [Outcome(wish, decision_about(wish.held, Action.REJECTED, id=wish.id)) for wish in wishes]

    async def close(self) -> None:
        return None


def wish(number: int) -> Wish:
    return Wish(held_at(number), Action.REJECTED, "ana", "why")


def test_what_is_taken_back_in_time_never_was() -> None:
    paper = Paper()
    pending = Pending(paper, seconds=60)
    pending.add([wish(1)])
    second = [wish(2), wish(3)]
    pending.add(second)
    assert pending.waiting == 3
    assert pending.undo() == second
    asyncio.run(pending.write_due())
    assert paper.written == []
    asyncio.run(pending.write_all())
    assert len(paper.written) == pending.done == 1
    assert pending.undo() == ()


def test_a_record_waits_once() -> None:
    pending = Pending(Paper())
    assert pending.add([wish(1)]) == 1
    assert pending.add([wish(1), wish(2)]) == 1
    assert set(pending.origins) == {held_at(1).origin, held_at(2).origin}


def test_what_could_not_be_written_waits_on_with_the_same_ids() -> None:
    paper, one = Paper(), wish(1)
    pending = Pending(paper, seconds=0)
    paper.broken = True
    pending.add([one])
    with pytest.raises(GuardError, match="away"):
        asyncio.run(pending.write_all())
    assert (pending.waiting, pending.fault) == (1, "the brokers are away")
    paper.broken = False
    asyncio.run(pending.write_due())
    assert (paper.written, pending.fault, pending.waiting) == ([one.id], "", 0)


def test_what_is_being_written_is_not_taken_for_undecided_and_only_the_rest_is_tried_again() -> None:
    paper = Paper()
    pending = Pending(paper, seconds=0)
    wishes = [wish(number) for number in range(2 * BATCH)]
    during: list[tuple[int, int]] = []
    settle = paper.settle

    async def once(part: Sequence[Wish]) -> list[Outcome]:
        during.append((len(pending.origins), pending.add(part)))
        if len(during) == 2:
            raise GuardError("the brokers are away")
        return await settle(part)

    paper.settle = once  # type: ignore[method-assign]
    pending.add(wishes)
    asyncio.run(pending.write_due())
    assert during == [(2 * BATCH, 0), (BATCH, 0)]
    assert (pending.done, pending.waiting) == (BATCH, BATCH)
    paper.settle = settle  # type: ignore[method-assign]
    asyncio.run(pending.write_due())
    assert paper.written == [one.id for one in wishes]
    assert (pending.done, pending.origins) == (2 * BATCH, {})
