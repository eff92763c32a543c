"""The sources that matter, in memory that a flood of invented names cannot fill: Space-Saving.

Metwally, Agrawal and El Abbadi (2005): k names are followed. A new one takes the place of the one with the smallest
rank and inherits that rank as `missed`: as many records, at most, it may have sent before. After N records:

* `records` ≤ true count ≤ `missed` + `records`;
* `missed` ≤ N/k, with a names pinned N/(k − a);
* each source with more than N/k records is followed.

Differs from the paper: what is told of a name is what was seen of it, and `missed` is only the error: evidence is never
inherited. Ties are decided by who came first, so that the same records leave the same names. Pinned names stay.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from typing import Annotated

import msgspec

__all__ = ["CAPACITY", "Entry", "SpaceSaving", "name_key"]

CAPACITY = 4096
"""Names followed at once. As a record on a topic they stay below a million bytes, what brokers take by default."""

_KEY_BYTES = 64
_KEPT_BYTES = 30

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Nth = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Name = Annotated[str, msgspec.Meta(max_length=_KEY_BYTES)]


class Entry(msgspec.Struct, array_like=True, gc=False):
    """What was seen of one source since it was last followed.

    `number`: its place among all that were ever followed, from 1; `missed`: see the module; `records`, `held`: seen and
    held since; `first`, `last`: when, in the unit of the caller. The rest belongs to `guard.blame`: `epoch` is odd
    while the source is accused, `rounds` counts attempts at the test, `since` says when the epoch began, `evidence` and
    `needed` are log10 of what led to the last accusation and of what was needed, `counts` the p-values of this round by
    cell.
    """

    name: _Name
    number: _Nth
    missed: _Count
    first: _Count
    last: _Count
    counts: list[_Count]
    records: _Count = 0
    held: _Count = 0
    epoch: _Count = 0
    rounds: _Nth = 1
    since: _Count = 0
    evidence: float = 0.0
    needed: float = 0.0

    @property
    def accused(self) -> bool:
        """Whether the source stands accused."""
        return self.epoch % 2 == 1

    @property
    def rank(self) -> int:
        """The most records that it can have sent."""
        return self.missed + self.records


class SpaceSaving:
    """At most `capacity` entries. `arrivals`: how many were ever followed."""

    def __init__(self, capacity: int = CAPACITY, entries: Iterable[Entry] = (), arrivals: int = 0) -> None:
        self.capacity = capacity
        self.arrivals = arrivals
        self.entries = {entry.name: entry for entry in entries}
        self.lost_epochs = 0
        self._pinned: set[str] = set()
        self._heap = [_item(entry) for entry in self.entries.values() if not entry.accused]
        heapq.heapify(self._heap)
        for entry in self.entries.values():
            if entry.accused:
                self.pin(entry)

    def follow(self, name: str, at: int, cells: int) -> Entry | None:
        """The entry of `name`, a new one with `cells` counts where there was none; None where all are pinned."""
        name = name_key(name)
        if (found := self.entries.get(name)) is not None:
            return found
        missed = 0
        if len(self.entries) >= self.capacity:
            gone = self._evict()
            if gone is None:
                return None
            missed = gone.rank
        self.arrivals += 1
        entry = Entry(name, self.arrivals, missed, at, at, [0] * cells, since=at)
        self.entries[name] = entry
        heapq.heappush(self._heap, _item(entry))
        return entry

    def pin(self, entry: Entry) -> None:
        """It is not evicted any more. With half of the places pinned, the pinned one of smallest rank may be."""
        self._pinned.add(entry.name)
        if len(self._pinned) > self.capacity // 2:
            self.unpin(min((self.entries[name] for name in self._pinned), key=_item))

    def unpin(self, entry: Entry) -> None:
        """It may be evicted again."""
        if entry.name in self._pinned:
            self._pinned.discard(entry.name)
            heapq.heappush(self._heap, _item(entry))

    def _evict(self) -> Entry | None:
        """Ranks only grow, so what an item of the heap says is at most the rank: look again where it is less."""
        while self._heap:
            rank, number, name = self._heap[0]
            entry = self.entries.get(name)
            if entry is None or entry.number != number or name in self._pinned:
                heapq.heappop(self._heap)
            elif entry.rank > rank:
                heapq.heapreplace(self._heap, _item(entry))
            else:
                heapq.heappop(self._heap)
                self.lost_epochs += entry.epoch > 0
                return self.entries.pop(name)
        return None


def name_key(name: str) -> str:
    """`name` itself up to 64 bytes; of a longer one its beginning and a hash, so that no sender chooses the size."""
    if len(name) <= _KEY_BYTES and name.isascii():
        return name
    data = name.encode("utf-8", "replace")
    if len(data) <= _KEY_BYTES:
        return data.decode()
    return f"{data[:_KEPT_BYTES].decode('utf-8', 'ignore')}…{hashlib.sha256(data).hexdigest()[:31]}"


def _item(entry: Entry) -> tuple[int, int, str]:
    return entry.rank, entry.number, entry.name
