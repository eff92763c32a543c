"""Decisions that wait some seconds before they are written, so that a slip of the hand can be taken back.

A release is final: nothing can fetch a record back from its readers. So a reviewer's page hands its decisions to this
waiting list. What is taken back within `UNDO_SECONDS` never was. What waits when the page is closed in order is
written.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from guard.errors import GuardError
from guard.review.batch import BATCH
from guard.review.decision import Action
from guard.review.desk import Outcome, Wish
from guard.review.quarantine import Quarantine

__all__ = ["UNDO_SECONDS", "Pending"]

UNDO_SECONDS = 5.0


@dataclass
class _Group:
    """Wishes that were made together and are taken back together."""

    wishes: Sequence[Wish]
    due: float


@dataclass
class Pending:
    """The waiting list of one quarantine. `refused`: what could not be done; `fault`: why writing fails."""

    quarantine: Quarantine
    seconds: float = UNDO_SECONDS
    refused: deque[Outcome] = field(default_factory=lambda: deque(maxlen=100))
    fault: str = ""
    done: int = 0
    _groups: list[_Group] = field(default_factory=list)
    _writing: Sequence[Wish] = ()

    @property
    def origins(self) -> dict[str, Action]:
        """What waits or is being written: origin to action."""
        wishes = chain(self._writing, *(group.wishes for group in self._groups))
        return {wish.held.origin: wish.action for wish in wishes}

    @property
    def waiting(self) -> int:
        """How many decisions can still be taken back."""
        return sum(len(group.wishes) for group in self._groups)

    def add(self, wishes: Sequence[Wish]) -> int:
        """Let wishes wait; those about records that wait already are left out. Returns how many were taken."""
        known = self.origins
        fresh = [wish for wish in wishes if wish.held.origin not in known]
        if fresh:
            self._groups.append(_Group(fresh, time.monotonic() + self.seconds))
        return len(fresh)

    def undo(self) -> Sequence[Wish]:
        """Take the last group back; what it held, or nothing where none waits."""
        return self._groups.pop().wishes if self._groups else ()

    async def write_due(self) -> None:
        """Write what has waited long enough; keeps it waiting when the quarantine cannot be written."""
        while self._groups and self._groups[0].due <= time.monotonic():
            await self._write(self._groups.pop(0))
            if self.fault:
                return

    async def write_all(self) -> None:
        """Write everything now. Raises GuardError."""
        while self._groups:
            await self._write(self._groups.pop(0))
            if self.fault:
                raise GuardError(self.fault)

    async def _write(self, group: _Group) -> None:
        self._writing = group.wishes
        try:
            while self._writing:
                outcomes = await self.quarantine.settle(self._writing[:BATCH])
                self.refused.extend(outcome for outcome in outcomes if outcome.decision is None)
                self.done += sum(outcome.decision is not None for outcome in outcomes)
                self._writing = self._writing[BATCH:]
            self.fault = ""
        except GuardError as error:
            # The ids of the wishes stay: what was written in spite of the error is found to be done.
            self.fault = str(error)
            self._groups.insert(0, _Group(self._writing, time.monotonic() + self.seconds))
        finally:
            self._writing = ()
