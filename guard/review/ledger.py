"""All decisions in their order, folded to what holds now for each origin.

The steps that are possible: undecided → released, undecided → rejected, rejected → reopened (undecided again). A
release is final. Compaction keeps the last decision of each origin, so the first one that is read of an origin may
supersede one that is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from guard.review.decision import Action, Decision, Disbelief, Disbelieved

__all__ = ["Ledger"]


class Ledger:
    """What was decided, by origin; and how much stood there that is not believed, by kind."""

    def __init__(self) -> None:
        self._latest: dict[str, Decision] = {}
        self._by_id: dict[str, Decision] = {}
        self._log: list[Decision] = []
        self.disbelieved: Counter[Disbelief] = Counter()

    def __len__(self) -> int:
        return len(self._log)

    @property
    def log(self) -> Sequence[Decision]:
        """Every decision that is believed, oldest first."""
        return self._log

    def find(self, number: str) -> Decision | None:
        """The decision with this id."""
        return self._by_id.get(number)

    def latest(self, origin: str) -> Decision | None:
        """The last decision about `origin`."""
        return self._latest.get(origin)

    def about(self, origin: str) -> list[Decision]:
        """Every decision about `origin` that is still there, oldest first."""
        return [decision for decision in self._log if decision.origin == origin]

    def in_force(self) -> Collection[Decision]:
        """The last decision about each origin."""
        return self._latest.values()

    def state(self, origin: str) -> Action | None:
        """`RELEASED`, `REJECTED`, or None where it is undecided."""
        found = self._latest.get(origin)
        return None if found is None or found.action is Action.REOPENED else found.action

    def add(self, decision: Decision) -> bool:
        """Take one more decision; False where it is known already. Raises Disbelieved for a step that cannot be."""
        if decision.id in self._by_id:
            return False
        before = self._latest.get(decision.origin)
        if before is not None and not (decision.supersedes == before.id and _follows(before.action, decision.action)):
            raise Disbelieved(Disbelief.IMPOSSIBLE_STEP)
        if before is None and decision.action is Action.REOPENED and decision.supersedes is None:
            raise Disbelieved(Disbelief.IMPOSSIBLE_STEP)
        self._by_id[decision.id] = decision
        self._latest[decision.origin] = decision
        self._log.append(decision)
        return True

    def objection(self, origin: str, action: Action) -> str | None:
        """Why `action` cannot be taken about `origin` now, in words; None where it can."""
        before = self._latest.get(origin)
        state = self.state(origin)
        if state is None:
            return "it is not decided, so there is nothing to take back" if action is Action.REOPENED else None
        if before is None or _follows(before.action, action):
            return None
        told = f"{state} by {before.reviewer} at {before.time}"
        if state is Action.RELEASED:
            return f"it was {told}; a release is final"
        return f"it was {told}" + ("; reopen it first" if action is Action.RELEASED else "")


def _follows(before: Action, action: Action) -> bool:
    if before is Action.REJECTED:
        return action is Action.REOPENED
    return before is Action.REOPENED and action is not Action.REOPENED
