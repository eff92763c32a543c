"""The queue of held records: searched, counted and paged in milliseconds at a hundred thousand records.

Beside the list of records stand columns of numbers; texts are numbered as they come. A filter is then a few comparisons
of whole columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from guard.review.decision import Action
from guard.review.filters import Filter
from guard.review.held import Held

__all__ = ["GROUPS", "Group", "Order", "Queue"]

Order = Literal["suspicion", "arrival"]
"""Smallest p-value first, what was not scored before all others; or as they came."""

GROUPS = ("reason", "member", "source", "label", "model")
"""What records are counted by."""

_TEXTS = {
    "reason": "reason",
    "member": "member",
    "source": "source",
    "label": "label",
    "suggested": "suggested_label",
    "model": "model",
}
_STATES: Mapping[Action | None, int] = {None: 0, Action.RELEASED: 1, Action.REJECTED: 2}
_NAMES = ("undecided", "released", "rejected", "expired")
_EXPIRED = 3
_FIRST_ROOM = 1024


@dataclass(frozen=True)
class Group:
    """Records that have one text in common: how many there are in each state; the smallest p-value."""

    name: str
    undecided: int
    released: int
    rejected: int
    expired: int
    smallest_p: float | None

    @property
    def records(self) -> int:
        """All of them."""
        return self.undecided + self.released + self.rejected + self.expired


class _Texts:
    """Numbers for texts, in the order in which they first came."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        found = self._numbers.setdefault(text, len(self.names))
        if found == len(self.names):
            self.names.append(text)
        return found

    def find(self, text: str) -> int:
        return self._numbers.get(text, -1)


class Queue:
    """Held records by origin, each once. A second record of the same origin is a copy, or it makes the origin disputed.

    `disputed`: origins of which two different records are held; only a forgery makes such, and none is ever released.
    """

    def __init__(self) -> None:
        self._records: list[Held] = []
        self._numbers: dict[str, int] = {}
        self._texts = {name: _Texts() for name in _TEXTS}
        self._columns: dict[str, NDArray[Any]] = {
            **{name: np.zeros(_FIRST_ROOM, np.int32) for name in _TEXTS},
            **{name: np.zeros(_FIRST_ROOM) for name in ("p", "judged", "timestamp")},
            **{name: np.zeros(_FIRST_ROOM, np.int64) for name in ("partition", "offset")},
            "state": np.zeros(_FIRST_ROOM, np.int8),
        }
        self.copies = 0
        self.disputed: set[str] = set()

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._records)

    def get(self, origin: str) -> Held | None:
        """The record of this origin."""
        number = self._numbers.get(origin)
        return None if number is None else self._records[number]

    def add(self, held: Held) -> None:
        """Take one more record; a copy of one that is there only counts as such."""
        known = self.get(held.origin)
        if known is not None:
            self.copies += 1
            if (known.value_sha256, known.timestamp) != (held.value_sha256, held.timestamp):
                self.disputed.add(held.origin)
            return
        number = len(self._records)
        self._records.append(held)
        self._numbers[held.origin] = number
        if number == len(self._columns["p"]):
            self._columns = {name: np.concatenate([old, np.zeros_like(old)]) for name, old in self._columns.items()}
        for name, attribute in _TEXTS.items():
            self._columns[name][number] = self._texts[name].number(getattr(held, attribute))
        self._columns["p"][number] = held.p_value
        self._columns["judged"][number] = held.judged
        self._columns["partition"][number] = held.place.partition
        self._columns["offset"][number] = held.place.offset
        self._columns["timestamp"][number] = held.timestamp / 1000 if held.timestamp >= 0 else np.nan

    def mark(self, origin: str, state: Action | None) -> None:
        """Note what was decided; nothing for an origin that is not held."""
        number = self._numbers.get(origin)
        if number is not None:
            self._columns["state"][number] = _STATES[state]

    def expire(self, first: Mapping[int, int]) -> None:
        """Note which undecided records are gone: those before the first offset that their partition still holds."""
        size = len(self._records)
        partition, offset = self._columns["partition"][:size], self._columns["offset"][:size]
        state = self._columns["state"][:size]
        for number, start in first.items():
            state[(partition == number) & (offset < start) & (state == _STATES[None])] = _EXPIRED

    def find(
        self, chosen: Filter, order: Order = "arrival", *, expire_before: float | None = None
    ) -> NDArray[np.int64]:
        """Numbers of the chosen records in order. `expire_before`: seconds of the timestamp under which one expires."""
        found = np.flatnonzero(self._mask(chosen, expire_before))
        if order == "suspicion":
            p = np.nan_to_num(self._columns["p"][found], nan=-1.0)
            found = found[np.argsort(p, kind="stable")]
        return found

    def without(self, numbers: NDArray[np.int64], origins: Collection[str]) -> NDArray[np.int64]:
        """The numbers but those of `origins`."""
        dropped = [self._numbers[origin] for origin in origins if origin in self._numbers]
        return numbers[~np.isin(numbers, dropped)] if dropped else numbers

    def take(self, numbers: Sequence[int] | NDArray[np.int64]) -> list[Held]:
        """The records of these numbers."""
        return [self._records[number] for number in numbers]

    def groups(self, by: str, numbers: NDArray[np.int64]) -> list[Group]:
        """The chosen records by one of `GROUPS`, the largest first."""
        codes, states = self._columns[by][numbers], self._columns["state"][numbers]
        names = self._texts[by].names
        counts = [np.bincount(codes[states == state], minlength=len(names)) for state in range(len(_NAMES))]
        least = np.full(len(names), np.inf)
        np.minimum.at(least, codes, np.nan_to_num(self._columns["p"][numbers], nan=np.inf))
        totals = np.sum(counts, axis=0)
        present = np.flatnonzero(totals)
        present = present[np.argsort(-totals[present], kind="stable")]
        return [_group(names[code], [int(count[code]) for count in counts], float(least[code])) for code in present]

    def counts(self, numbers: NDArray[np.int64]) -> Counter[str]:
        """How many of them are in each state."""
        found = np.bincount(self._columns["state"][numbers], minlength=len(_NAMES)).tolist()
        return Counter(dict(zip(_NAMES, found, strict=True)))

    def timestamps(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """The records' own times in seconds, NaN without one."""
        found: NDArray[np.float64] = self._columns["timestamp"][numbers]
        return found

    def _mask(self, chosen: Filter, expire_before: float | None) -> NDArray[np.bool_]:
        size = len(self._records)
        column = {name: values[:size] for name, values in self._columns.items()}
        mask = np.ones(size, np.bool_)
        if chosen.state != "all":
            mask &= column["state"] == _NAMES.index(chosen.state)
        for name in _TEXTS:
            if (text := getattr(chosen, name)) is not None:
                mask &= column[name] == self._texts[name].find(text)
        with np.errstate(invalid="ignore"):
            for name, low, high in (("p", chosen.min_p, chosen.max_p), ("judged", chosen.since, chosen.until)):
                if low is not None:
                    mask &= column[name] >= low
                if high is not None:
                    mask &= column[name] <= high
            if chosen.expiring is not None:
                mask &= column["timestamp"] < (-np.inf if expire_before is None else expire_before)
        return mask


def _group(name: str, counts: list[int], least: float) -> Group:
    undecided, released, rejected, expired = counts
    return Group(name, undecided, released, rejected, expired, least if np.isfinite(least) else None)
