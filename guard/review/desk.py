"""What a reviewer works at, whatever it is stored in: the queue, the ledger, and what may be decided now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from guard.review.decision import (
    Action,
    Decision,
    Disbelief,
    Disbelieved,
    Place,
    new_id,
    parse_decision,
)
from guard.review.held import Held
from guard.review.ledger import Ledger
from guard.review.queue import Queue
from guard.rfc3339 import now_text

__all__ = ["Desk", "Outcome", "Wish"]


@dataclass(frozen=True)
class Wish:
    """What a reviewer wants done about one held record. `id` is the decision's, and stays over every attempt."""

    held: Held
    action: Action
    reviewer: str
    why: str
    id: str = field(default_factory=new_id)


@dataclass(frozen=True)
class Outcome:
    """What became of a wish: the `decision` that was written, or the `objection` why none was."""

    wish: Wish
    decision: Decision | None
    objection: str | None = None


class Desk:
    """Held records and decisions, joined. `foreign`: records in quarantine that no guard wrote."""

    def __init__(self) -> None:
        self.queue = Queue()
        self.ledger = Ledger()
        self.foreign = 0

    def hold(self, held: Held) -> None:
        """Take one more held record."""
        self.queue.add(held)
        latest = self.ledger.latest(held.origin)
        if latest is None:
            return
        if latest.value_sha256 != held.value_sha256:
            self.queue.disputed.add(held.origin)
        self.queue.mark(held.origin, self.ledger.state(held.origin))

    def believe(self, key: bytes | None, value: bytes | None, stands: Place) -> None:
        """Take what stands at a place among the decisions, if it can be believed; count it if not."""
        try:
            decision = parse_decision(key, value)
            self._hold_against(decision, stands)
            self.settle(decision)
        except Disbelieved as disbelief:
            self.ledger.disbelieved[disbelief.kind] += 1

    def settle(self, decision: Decision) -> None:
        """Take a decision that was just written, or read. Raises Disbelieved for a step that cannot be."""
        if self.ledger.add(decision):
            self.queue.mark(decision.origin, self.ledger.state(decision.origin))

    def plan(self, wishes: Sequence[Wish]) -> tuple[list[tuple[Wish, Decision]], list[Outcome]]:
        """A draft for each wish that can be fulfilled now, and the outcome of each of the others."""
        drafts: list[tuple[Wish, Decision]] = []
        outcomes: list[Outcome] = []
        taken: set[str] = set()
        for wish in wishes:
            origin = wish.held.origin
            done = self.ledger.find(wish.id)
            objection = "it was asked for twice" if origin in taken else self._objection(wish)
            if done is not None:
                outcomes.append(Outcome(wish, done))
            elif objection is not None:
                outcomes.append(Outcome(wish, None, objection))
            else:
                drafts.append((wish, self._draft(wish)))
            taken.add(origin)
        return drafts, outcomes

    def _objection(self, wish: Wish) -> str | None:
        if wish.held.origin in self.queue.disputed and wish.action is Action.RELEASED:
            return "two different records claim this origin, so one of them is forged; reject it, and see who may write"
        return self.ledger.objection(wish.held.origin, wish.action)

    def _draft(self, wish: Wish) -> Decision:
        latest = self.ledger.latest(wish.held.origin)
        return Decision(
            format=1,
            id=wish.id,
            origin=wish.held.origin,
            action=wish.action,
            reviewer=wish.reviewer,
            why=wish.why,
            time=now_text(),
            held=wish.held.place,
            value_sha256=wish.held.value_sha256,
            released=None,
            supersedes=None if latest is None else latest.id,
        )

    def _hold_against(self, decision: Decision, stands: Place) -> None:
        """The decision against where it stands and against the record that it is about."""
        *_, partition, _ = decision.origin.split("/")
        if not int(partition) == decision.held.partition == stands.partition:
            raise Disbelieved(Disbelief.WRONG_PLACE)
        held = self.queue.get(decision.origin)
        if held is not None and held.value_sha256 != decision.value_sha256:
            raise Disbelieved(Disbelief.OTHER_RECORD)
