"""Blame: which contributors send poison, told by evidence that is valid at every time, in bounded memory.

Of each source only counts are kept, of how many of its p-values fell below a few thresholds (`guard.suspicion`). They
give its evidence E, as if bets had been placed on every record (`guard.betting`). A source is accused when

    log E ≥ log(places/level) − log γ_number − log δ_rounds,

number its place among all sources that its partition ever followed, rounds its attempts. All weights γ δ / places
together are at most 1, so by Ville's inequality the probability that any honest source is ever accused is at most the
level, over calibrations and streams together, whatever number of sources there is, however long it runs and whenever
one looks.

A round ends when its evidence has nearly gone: a long honest past is no credit. What is dropped or forgotten begins a
new round, or gets a new number, with evidence 1: forgetting never adds evidence that was not paid for by a weight.
While a source is accused, its counts serve the opposite test; when that shows that it has stopped, it is free again.
Each change begins a new epoch. Copies of one record are counted once, told apart by offset.

Evidence about one source from several partitions multiplies, bet by bet (`Suspicion.log_joint`): that of one may be
enough, or that of all. Where an entry may have been forgotten before, it stands alone, because the weight of its name
may have been used; of an epoch that is over, only what was reserved for later rounds counts. What is told of a source,
and what lets it back, is the sum of the counts of its latest epoch (`joint`), the same in any order.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from guard.betting import log_round_weight
from guard.errors import GuardError
from guard.space_saving import CAPACITY, Entry, SpaceSaving, name_key
from guard.suspicion import FLOOR, Suspicion
from guard.verdict import HoldReason, Status, Verdict

__all__ = ["Blame", "PlaceState", "Standing", "StateUnreadable", "joint"]

_FORMAT = 1
_LOOK = 32
"""Records of a source between two looks at its evidence, if none of them is as suspicious as what is held."""

_AT_ONCE = 2048
"""Entries whose evidence is computed at once: some ten MB."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class StateUnreadable(GuardError):
    """Kept evidence is damaged or of another format."""


class PlaceState(msgspec.Struct, frozen=True):
    """Everything about one partition (or file): what was counted up to offset `through`, exclusive."""

    format: int
    place: str
    suspicion: Suspicion
    through: _Count
    records: _Count
    arrivals: _Count
    entries: Annotated[list[Entry], msgspec.Meta(max_length=CAPACITY)]

    def to_bytes(self) -> bytes:
        """As JSON."""
        return _ENCODER.encode(self)

    @staticmethod
    def from_bytes(data: bytes) -> PlaceState:
        """Raises StateUnreadable."""
        try:
            found = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateUnreadable(f"evidence about sources is damaged: {error}") from error
        found.audit()
        return found

    def audit(self) -> None:
        """Raises StateUnreadable for what no guard of this version has written."""
        cells, names = self.suspicion.cells, {entry.name for entry in self.entries}
        if self.format != _FORMAT:
            raise StateUnreadable(f"evidence about sources has format {self.format}, expected {_FORMAT}")
        if len(names) < len(self.entries) or any(len(entry.counts) != cells for entry in self.entries):
            raise StateUnreadable("evidence about sources does not fit itself")


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(PlaceState)


class Standing(NamedTuple):
    """How one source stands. `evidence`: log10 E, of an accused one when it was accused; `needed`: to be accused."""

    source: str
    accused: bool
    evidence: float
    needed: float
    records: int
    held: int
    missed_at_most: int
    first: int
    last: int
    since: int
    times_accused: int


class _Place:
    """The counts of one partition."""

    def __init__(self, suspicion: Suspicion, capacity: int, state: PlaceState | None = None) -> None:
        entries = state.entries if state else ()
        self.sources = SpaceSaving(capacity, entries, state.arrivals if state else 0)
        self.through = state.through if state else 0
        self.records = state.records if state else 0
        self.suspicion = state.suspicion if state else suspicion

    def count(
        self, verdicts: Sequence[Verdict], cells: NDArray[np.int64], times: Sequence[int]
    ) -> tuple[list[Entry], list[Entry]]:
        """Counts records; returns the entries that they belong to, and those whose evidence is due.

        What was followed and given up again within these records is not among them.
        """
        names = [verdict.source for verdict in verdicts]
        strong = self.suspicion.back
        # Most p-values are large: those are counted by name, and only the others one by one.
        others = np.flatnonzero(cells != self.suspicion.cells - 2).tolist()
        touched, due = self._follow(names, times, Counter(names[at] for at in others))
        for at in others:
            if (entry := touched.get(names[at])) is None:
                continue
            cell = int(cells[at])
            entry.counts[cell] += 1
            if cell <= strong and not entry.accused:
                due[entry.name] = entry
        quarantined, accused = Status.QUARANTINED, HoldReason.SUSPECT_SOURCE
        for verdict in verdicts:
            if verdict.status is quarantined and verdict.reason is not accused and verdict.source in touched:
                touched[verdict.source].held += 1
        self.records += len(verdicts)
        return self._kept(touched.values()), self._kept(due.values())

    def _follow(
        self, names: Sequence[str | None], times: Sequence[int], others: Mapping[str | None, int]
    ) -> tuple[dict[str | None, Entry], dict[str, Entry]]:
        """The entries of these names, their large p-values counted, all but the `others`; and those due for a look."""
        first, last = _first_and_last(names, times)
        cells, large = self.suspicion.cells, self.suspicion.cells - 2
        touched: dict[str | None, Entry] = {}
        due: dict[str, Entry] = {}
        for name, count in Counter(names).items():
            if name is None or (entry := self.sources.follow(name, first.get(name, times[0]), cells)) is None:
                continue
            touched[name] = entry
            looks = entry.records // _LOOK
            entry.records += count
            entry.counts[large] += count - others[name]
            entry.last = last.get(name, times[0])
            if entry.records // _LOOK > looks:
                due[entry.name] = entry
        return touched, due

    def _kept(self, entries: Iterable[Entry]) -> list[Entry]:
        return [entry for entry in entries if self.sources.entries.get(entry.name) is entry]


class Blame:
    """The evidence of one process, by place: a partition of an input, or a file. Not thread-safe."""

    def __init__(self, suspicion: Suspicion, capacity: int = CAPACITY) -> None:
        self.suspicion = suspicion
        self._capacity = capacity
        self._own: dict[str, _Place] = {}
        self._others: dict[str, Mapping[str, Entry]] = {}
        self._epochs: dict[str, int] = {}

    @property
    def accused_count(self) -> int:
        """How many sources stand accused."""
        return sum(epoch % 2 for epoch in self._epochs.values())

    @property
    def followed(self) -> int:
        """How many entries are kept, over all places of this process."""
        return sum(len(place.sources.entries) for place in self._own.values())

    def is_accused(self, source: str | None) -> bool:
        """Whether `source` stands accused. No cost while nobody does."""
        return bool(self._epochs) and source is not None and self._epochs.get(name_key(source), 0) % 2 == 1

    def add(self, place: str, verdicts: Sequence[Verdict], offsets: Sequence[int], times: Sequence[int]) -> int:
        """Counts consecutive records of `place`, with ascending `offsets`; `times`: when, such as ms since 1970.

        A record whose offset was counted before is a copy and passed over; returns how many of the first ones are.
        """
        own = self._own.setdefault(place, _Place(self.suspicion, self._capacity))
        first = bisect_left(offsets, own.through)
        fresh = verdicts[first:]
        if not fresh:
            return first
        own.through, at = offsets[-1] + 1, times[-1]
        cells = self.suspicion.cell_of([verdict.p_value for verdict in fresh])
        touched, due = own.count(fresh, cells, times[first:])
        if own.sources.lost_epochs:
            own.sources.lost_epochs = 0
            self._refresh()
        if self._epochs:
            self._catch_up(own, touched, at)
        self._decide(own, due, at)
        return first

    def use(self, suspicion: Suspicion) -> None:
        """Another bundle judges from now on. Who is accused stays so; all other evidence begins anew."""
        self.suspicion = suspicion
        for place in self._own.values():
            self._adopt(place)

    def keep(self, place: str, state: PlaceState | None) -> None:
        """From now on this process counts `place`; it goes on from `state`, unless it is further itself."""
        own = self._own.get(place)
        if own is None or (state is not None and state.through > own.through):
            self._own[place] = _Place(self.suspicion, self._capacity, state)
            self._adopt(self._own[place])
        self._others.pop(place, None)
        self._refresh()

    def rewind(self, place: str, end: int) -> None:
        """The log of `place` ends at `end`: where more was counted, it was made anew, and none of it is a copy."""
        own = self._own[place]
        own.through = min(own.through, end)

    def leave(self, place: str) -> None:
        """Another process counts `place` from now on; what is known stays until it tells more."""
        if (own := self._own.pop(place, None)) is not None:
            self._others[place] = own.sources.entries

    def hear(self, state: PlaceState) -> None:
        """What another process counted. That by another measure says only who is accused."""
        if state.place in self._own:
            return
        same = state.suspicion.counts_like(self.suspicion)
        entries = {entry.name: entry for entry in state.entries if same or entry.epoch}
        if not same:
            for entry in entries.values():
                entry.counts = [0] * self.suspicion.cells
        self._others[state.place] = entries
        self._refresh()

    def state(self, place: str) -> PlaceState:
        """Everything to go on from."""
        own = self._own.setdefault(place, _Place(self.suspicion, self._capacity))
        entries = list(own.sources.entries.values())
        return PlaceState(_FORMAT, place, self.suspicion, own.through, own.records, own.sources.arrivals, entries)

    def standings(self, most: int) -> list[Standing]:
        """At most `most` sources over all places: the accused first, then by evidence against them.

        Another thread may ask too: what changes meanwhile is told as it was before or as it is after.
        """
        names = dict.fromkeys(name for entries in self._everywhere() for name in list(entries))
        groups = [self._entries(name) for name in names]
        alone = iter(self._alone([entry for entries in groups for entry in _latest(entries)]))
        rows = [self._standing(entries, list(islice(alone, len(_latest(entries))))) for entries in groups]
        rows.sort(key=lambda row: (not row.accused, row.needed - row.evidence, -row.records, row.source))
        return rows[:most]

    def _standing(self, entries: Sequence[Entry], alone: Sequence[float]) -> Standing:
        entry, (evidence, needed) = joint(entries), self._case(entries, alone)
        return Standing(
            source=entry.name,
            accused=entry.accused,
            evidence=entry.evidence if entry.accused else evidence / math.log(10),
            needed=entry.needed if entry.accused else needed / math.log(10),
            records=entry.records,
            held=entry.held,
            missed_at_most=entry.missed,
            first=entry.first,
            last=entry.last,
            since=entry.since,
            times_accused=(entry.epoch + 1) // 2,
        )

    def _everywhere(self) -> list[Mapping[str, Entry]]:
        return [*(place.sources.entries for place in list(self._own.values())), *list(self._others.values())]

    def _entries(self, name: str) -> list[Entry]:
        return [entries[name] for entries in self._everywhere() if name in entries]

    def _alone(self, entries: Sequence[Entry]) -> list[float]:
        """The log E of each entry by itself."""
        found: list[float] = []
        for first in range(0, len(entries), _AT_ONCE):
            counts = np.array([entry.counts for entry in entries[first : first + _AT_ONCE]])
            found += self.suspicion.log_evidence(counts).tolist()
        return found

    def _case(self, entries: Sequence[Entry], alone: Sequence[float]) -> tuple[float, float]:
        """The evidence log E against one source, and what is needed: of one partition, or of all if that is nearer.

        `alone`: the log E of each of its latest entries.
        """
        latest = _latest(entries)
        cases = [
            (evidence, self.suspicion.log_needed(entry.number) - log_round_weight(entry.rounds))
            for evidence, entry in zip(alone, latest, strict=True)
        ]
        known = [entry for entry in entries if not entry.missed]
        if len(known) > 1 and max(alone) > 0:
            cases.append(self._case_of_all(known, latest[0].epoch))
        return max(cases, key=lambda case: case[0] - case[1])

    def _case_of_all(self, entries: Sequence[Entry], epoch: int) -> tuple[float, float]:
        nothing = [0] * self.suspicion.cells  # the round of an epoch that is over ends, and the next one begins
        counts = [entry.counts if entry.epoch == epoch else nothing for entry in entries]
        rounds = [entry.rounds if entry.epoch == epoch else entry.rounds + 1 for entry in entries]
        evidence = self.suspicion.log_joint(np.array(counts), np.array(rounds))
        return evidence, self.suspicion.log_needed(max(entry.number for entry in entries))

    def _refresh(self) -> None:
        self._epochs = {}
        for entries in self._everywhere():
            for name, entry in entries.items():
                if entry.epoch > self._epochs.get(name, 0):
                    self._epochs[name] = entry.epoch

    def _catch_up(self, own: _Place, entries: Iterable[Entry], at: int) -> None:
        """What was decided about a source elsewhere holds here."""
        for entry in entries:
            if entry.epoch < (epoch := self._epochs.get(entry.name, 0)):
                self._turn(own, entry, epoch, at)

    def _decide(self, own: _Place, entries: Sequence[Entry], at: int) -> None:
        free = [entry for entry in entries if not entry.accused]
        if len(free) < len(entries):
            self._let_back(own, [entry for entry in entries if entry.accused], at)
        # What all partitions say is looked up only where this one says something: elsewhere it cannot have grown much.
        least = 0.0 if len(self._own) + len(self._others) > 1 else self.suspicion.log_needed(1)
        for entry, evidence in zip(free, self._alone(free), strict=True):
            if evidence > least:
                self._accuse(own, entry, evidence, at)
            elif evidence < FLOOR:
                _begin_round(entry)

    def _accuse(self, own: _Place, entry: Entry, alone: float, at: int) -> None:
        """Turns `entry` where the evidence is enough; `alone`: its own log E."""
        everywhere = self._entries(entry.name)
        latest = [alone] if len(everywhere) == 1 else self._alone(_latest(everywhere))
        evidence, needed = self._case(everywhere, latest)
        if evidence >= needed:
            self._turn(own, entry, entry.epoch + 1, at)
            entry.evidence, entry.needed = evidence / math.log(10), needed / math.log(10)

    def _let_back(self, own: _Place, entries: Sequence[Entry], at: int) -> None:
        """Turns those accused ones of whom all partitions together show that they have stopped."""
        wholes = [joint(self._entries(entry.name)) for entry in entries]
        shown = self.suspicion.log_return(np.array([whole.counts for whole in wholes])).tolist()
        for entry, whole, evidence in zip(entries, wholes, shown, strict=True):
            if evidence >= self.suspicion.log_back(whole.epoch):
                self._turn(own, entry, whole.epoch + 1, at)

    def _turn(self, own: _Place, entry: Entry, epoch: int, at: int) -> None:
        entry.epoch, entry.since = epoch, at
        self._epochs[entry.name] = epoch
        _begin_round(entry)
        if entry.accused:
            own.sources.pin(entry)
        else:
            own.sources.unpin(entry)

    def _adopt(self, place: _Place) -> None:
        """Counts by another bundle, or by other thresholds, begin anew."""
        before, place.suspicion = place.suspicion, self.suspicion
        if before.counts_like(self.suspicion):
            return
        for entry in place.sources.entries.values():
            entry.counts = [0] * self.suspicion.cells
            entry.rounds += 1


def joint(entries: Sequence[Entry]) -> Entry:
    """What was counted of one source in disjoint sets of records; of the p-values, those of its latest epoch."""
    latest = _latest(entries)
    epoch = latest[0].epoch
    return Entry(
        name=entries[0].name,
        number=max(entry.number for entry in entries),
        missed=sum(entry.missed for entry in entries),
        first=min(entry.first for entry in entries),
        last=max(entry.last for entry in entries),
        counts=[sum(cell) for cell in zip(*(entry.counts for entry in latest), strict=True)],
        records=sum(entry.records for entry in entries),
        held=sum(entry.held for entry in entries),
        epoch=epoch,
        rounds=sum(entry.rounds for entry in entries) - len(entries) + 1,
        since=min(entry.since for entry in latest),
        evidence=max(entry.evidence for entry in latest),
        needed=max(entry.needed for entry in latest),
    )


def _latest(entries: Sequence[Entry]) -> list[Entry]:
    """Those of the latest epoch."""
    epoch = max(entry.epoch for entry in entries)
    return [entry for entry in entries if entry.epoch == epoch]


def _first_and_last(
    names: Sequence[str | None], times: Sequence[int]
) -> tuple[Mapping[str | None, int], Mapping[str | None, int]]:
    """When each name came first and last; nothing where all came at one time."""
    if times[0] == times[-1]:
        return {}, {}
    backwards = zip(reversed(names), reversed(times), strict=True)
    return dict(backwards), dict(zip(names, times, strict=True))


def _begin_round(entry: Entry) -> None:
    entry.counts = [0] * len(entry.counts)
    entry.rounds += 1
