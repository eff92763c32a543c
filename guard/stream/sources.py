"""Who sends poison, on the stream: counts what was delivered, and holds what an accused source sends, where told to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from guard.blame import Blame, PlaceState, Standing
from guard.bundle import Bundle
from guard.stream.remembered import Remembered
from guard.stream.settings import BlameSettings
from guard.suspicion import Suspicion, suspicion_of
from guard.verdict import HoldReason, Status, Verdict

__all__ = ["Sources", "suspicion_for"]

_SHOWN = 100


def suspicion_for(bundle: Bundle, settings: BlameSettings, partitions: int) -> Suspicion:
    """What counts as evidence for one bundle. Takes some .1 s."""
    fusion = bundle.judgement.fusion
    return suspicion_of(
        fusion, bundle.digest, level=settings.level, tolerated=settings.tolerated_share, places=partitions
    )


class Sources:
    """The evidence of one guard. All but `standings` belongs to the event loop.

    A place is cluster/topic/partition of the input, as in `guard-origin`. Without `remembered` evidence lasts as long
    as the process.
    """

    def __init__(self, suspicion: Suspicion, cluster: str, *, hold: bool, remembered: Remembered | None = None) -> None:
        self._blame = Blame(suspicion)
        self._cluster = cluster
        self._hold = hold
        self._remembered = remembered
        self._begun: set[str] = set()
        self._heard: dict[str, PlaceState] = {}
        self._changed: set[str] = set()

    @property
    def accused(self) -> int:
        """How many sources stand accused."""
        return self._blame.accused_count

    @property
    def followed(self) -> int:
        """How many sources are followed, once for each partition."""
        return self._blame.followed

    async def begin(self, topic: str, partition: int) -> None:
        """Before the first list of a partition is judged: what was counted of it so far. Raises GuardError."""
        place = self._place(topic, partition)
        if place in self._begun:
            return
        if self._remembered is not None:
            await self.listen()
            self._blame.keep(place, self._heard.get(place))
            self._blame.rewind(place, await self._remembered.end_of(topic, partition))
        self._begun.add(place)

    def held(self, verdicts: list[Verdict]) -> list[Verdict]:
        """The verdicts, with what accused sources sent held where that is the policy."""
        if not (self._hold and self._blame.accused_count):
            return verdicts
        return [_suspect(verdict) if self._is_suspect(verdict) else verdict for verdict in verdicts]

    def count(self, records: Sequence[Any], verdicts: Sequence[Verdict]) -> None:
        """One list of one partition was delivered."""
        place = self._place(records[0].topic, records[0].partition)
        if place not in self._begun:
            return  # a rebalance gave it to another guard, which counts these records when it judges them again
        now = int(time.time() * 1000)
        self._blame.add(place, verdicts, [record.offset for record in records], [now] * len(records))
        self._changed.add(place)

    def use(self, suspicion: Suspicion) -> None:
        """Another bundle judges from now on."""
        self._blame.use(suspicion)

    async def listen(self) -> None:
        """Takes note of what other guards counted, and of what this one did: a partition may leave and come back."""
        if self._remembered is None:
            return
        for state in await self._remembered.news():
            self._heard[state.place] = state
            self._blame.hear(state)

    async def keep(self) -> bool:
        """Writes what has changed since the last time. False where that failed; the next time tries again."""
        changed = self._changed & self._begun
        if self._remembered is None or not changed:
            return True
        self._changed -= changed
        if await self._remembered.write([self._blame.state(place) for place in sorted(changed)]):
            return True
        self._changed |= changed
        return False

    async def leave(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Others count these partitions from now on: writes what is known, and forgets that it was counted here."""
        if self._remembered is None:
            return
        await self.keep()
        for topic, partition in partitions:
            place = self._place(topic, partition)
            self._begun.discard(place)
            self._blame.leave(place)

    def standings(self) -> bytes:
        """The sources with most against them, as JSON, by name; may be called from any thread."""
        rows: list[Standing] = self._blame.standings(_SHOWN)
        return msgspec.json.encode({"accused": self.accused, "sources": [row._asdict() for row in rows]})

    def _place(self, topic: str, partition: int) -> str:
        return f"{self._cluster}/{topic}/{partition}"

    def _is_suspect(self, verdict: Verdict) -> bool:
        return verdict.status is Status.CLEAN and self._blame.is_accused(verdict.source)


def _suspect(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(
        verdict,
        status=Status.QUARANTINED,
        reason=HoldReason.SUSPECT_SOURCE,
        detail="its source is accused of sending poison; the sample itself would have passed",
    )
