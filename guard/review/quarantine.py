"""What a quarantine can do, in files or on Kafka: one interface, so that commands and pages are written once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from guard.review.decision import Action
from guard.review.desk import Desk, Outcome, Wish
from guard.review.held import Held, HeldRecord

__all__ = ["FOREVER", "Quarantine", "Retention", "unknown_decisions"]


@dataclass(frozen=True)
class Retention:
    """How long held records stay: `seconds` after their own timestamp, inf for ever, NaN where that may not be seen.

    `bounded` tells that size limits them as well, so that they may go sooner. `lost`: at most so many records are gone
    that nobody had decided about.
    """

    seconds: float
    bounded: bool = False
    lost: int = 0

    @property
    def known(self) -> bool:
        """Whether it can be seen at all."""
        return not math.isnan(self.seconds)

    def expire_before(self, within: float, now: float) -> float:
        """Records with a timestamp (s) before this may be gone `within` seconds from `now`; −inf if none will."""
        return now + within - self.seconds if math.isfinite(self.seconds) else -math.inf


FOREVER = Retention(math.inf)


class Quarantine(Protocol):
    """Held records, and decisions about them that are written once each.

    `title`: what it is, for people. `desk`: what is known of it since the last `refresh`. `first`: the first offset
    that each partition still holds, where records can go.
    """

    title: str
    desk: Desk
    retention: Retention
    first: Mapping[int, int]

    async def refresh(self) -> None:
        """Read what has come since: held records, and decisions of other reviewers."""
        ...

    async def records(self, held: Sequence[Held]) -> list[HeldRecord | None]:
        """The records themselves, in this order; None where one is gone, or is not what it was."""
        ...

    async def settle(self, wishes: Sequence[Wish]) -> list[Outcome]:
        """Write decisions, and what they release, each once whatever goes wrong; one outcome per wish."""
        ...

    async def close(self) -> None:
        """Give back what is held open."""
        ...


def unknown_decisions(quarantine: Quarantine) -> int:
    """Decisions in force about records that are neither held nor gone: there never were such."""
    queue, first = quarantine.desk.queue, quarantine.first
    return sum(
        queue.get(decision.origin) is None and decision.held.offset >= first.get(decision.held.partition, 0)
        for decision in quarantine.desk.ledger.in_force()
        if decision.action is not Action.REOPENED
    )
