"""What the guard has seen: evidence about each source and about drift, by partition; and the policy that follows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, get_args

import msgspec

from guard.blame import Blame, Standing
from guard.bundle import Bundle
from guard.drift import Drift, DriftReading, Expected, Watched, expected_of, reading_of
from guard.stream.evidence import Evidence
from guard.stream.remembered import Remembered
from guard.stream.settings import EvidenceSettings
from guard.suspicion import Suspicion, suspicion_of
from guard.verdict import HoldReason, Status, Verdict

__all__ = ["Norm", "Witness", "norm_of", "place_of"]

_SHOWN = 100


class Norm(NamedTuple):
    """What clean samples are like, by one bundle: those of one source, and those of all together."""

    suspicion: Suspicion
    expected: Expected


def norm_of(bundle: Bundle, settings: EvidenceSettings, partitions: int) -> Norm:
    """What counts as evidence for one bundle, with records in so many partitions. Takes some .1 s."""
    fusion, level = bundle.judgement.fusion, settings.level
    tolerated = settings.tolerated_share
    return Norm(
        suspicion_of(fusion, bundle.digest, level=level, tolerated=tolerated, places=partitions),
        expected_of(fusion, bundle.manifest.spec.label, bundle.digest, level=level, places=partitions),
    )


def place_of(cluster: str, topic: str, partition: int) -> str:
    """A partition of the input, written as in `guard-origin`."""
    return f"{cluster}/{topic}/{partition}"


class Witness:
    """The evidence of one guard. All but `standings` belongs to the event loop.

    `places`: all partitions of the inputs; what is told of any other is passed over. Without `remembered` evidence
    lasts as long as the process.
    """

    def __init__(
        self, norm: Norm, cluster: str, places: Collection[str], *, hold: bool, remembered: Remembered | None = None
    ) -> None:
        self._blame = Blame(norm.suspicion)
        self._expected = norm.expected
        self._drifts: dict[str, Drift] = {}
        self._cluster = cluster
        self._places = places
        self._hold = hold
        self._remembered = remembered
        self._heard: dict[str, Evidence] = {}
        self._changed: set[str] = set()
        self._writing = asyncio.Lock()

    @property
    def accused(self) -> int:
        """How many sources stand accused."""
        return self._blame.accused_count

    @property
    def followed(self) -> int:
        """How many sources are followed, once for each partition."""
        return self._blame.followed

    def drift(self) -> dict[Watched, DriftReading]:
        """How far each thing that is watched is from an alarm, in the partitions of this guard."""
        return {name: reading_of(self._drifts.values(), name) for name in get_args(Watched)}

    async def begin(self, topic: str, partition: int) -> None:
        """Before the first list of a partition is judged: what was counted of it so far. Raises GuardError."""
        place = self._place(topic, partition)
        if place in self._drifts:
            return
        found = None
        if self._remembered is not None:
            await self.listen()
            found = self._heard.pop(place, None)  # what it holds is counted on from here
            self._blame.keep(place, found.sources if found else None)
            self._blame.rewind(place, await self._remembered.end_of(topic, partition))
        known = found is not None and found.drift.expected == self._expected
        self._drifts[place] = Drift(self._expected, found.drift if found and known else None)

    def held(self, verdicts: list[Verdict]) -> list[Verdict]:
        """The verdicts, with what accused sources sent held where that is the policy."""
        if not (self._hold and self._blame.accused_count):
            return verdicts
        return [_suspect(verdict) if self._is_suspect(verdict) else verdict for verdict in verdicts]

    def count(self, records: Sequence[Any], verdicts: Sequence[Verdict], bundle: str) -> None:
        """One list of one partition was delivered, as `bundle` judged it; what one before it judged is no evidence."""
        place = self._place(records[0].topic, records[0].partition)
        drift = self._drifts.get(place)
        if drift is None or bundle != self._expected.bundle:
            return  # a rebalance gave it to another guard, which counts these records when it judges them again
        now = int(time.time() * 1000)
        copies = self._blame.add(place, verdicts, [record.offset for record in records], [now] * len(records))
        drift.add(verdicts[copies:])
        self._changed.add(place)

    def use(self, norm: Norm) -> None:
        """Another bundle judges from now on."""
        self._blame.use(norm.suspicion)
        self._expected = norm.expected
        self._drifts = {place: Drift(norm.expected) for place in self._drifts}

    async def listen(self) -> None:
        """Takes note of what other guards counted, and of what this one did: a partition may leave and come back."""
        if self._remembered is None:
            return
        for evidence in await self._remembered.news():
            if evidence.place in self._places:
                self._heard[evidence.place] = evidence
                self._blame.hear(evidence.sources)

    async def keep(self) -> bool:
        """Writes what has changed since the last time. False where that failed; the next time tries again."""
        if self._remembered is None:
            return True
        async with self._writing:  # in the order in which it was counted
            changed = self._changed & self._drifts.keys()
            self._changed -= changed
            kept = await self._remembered.write(
                {  # all of it now: what is counted while it is written belongs to the next time
                    place: Evidence.of(self._blame.state(place), self._drifts[place].state()).to_bytes()
                    for place in sorted(changed)
                }
            )
            if not kept:
                self._changed |= changed
            return kept

    async def leave(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Others count these partitions from now on: writes what is known, and forgets that it was counted here."""
        if self._remembered is None:
            return
        await self.keep()
        for topic, partition in partitions:
            place = self._place(topic, partition)
            self._drifts.pop(place, None)
            self._blame.leave(place)

    def standings(self) -> bytes:
        """The sources with most against them, as JSON, by name; may be called from any thread."""
        rows: list[Standing] = self._blame.standings(_SHOWN)
        return msgspec.json.encode({"accused": self.accused, "sources": [row._asdict() for row in rows]})

    def _place(self, topic: str, partition: int) -> str:
        return place_of(self._cluster, topic, partition)

    def _is_suspect(self, verdict: Verdict) -> bool:
        return verdict.status is Status.CLEAN and self._blame.is_accused(verdict.source)


def _suspect(verdict: Verdict) -> Verdict:
    return msgspec.structs.replace(
        verdict,
        status=Status.QUARANTINED,
        reason=HoldReason.SUSPECT_SOURCE,
        detail="its source is accused of sending poison; the sample itself would have passed",
    )
