"""Each origin once: what a reader of the guard's topics does about records that were produced twice.

Delivery is at least once. A guard that is killed leaves records that are produced and not committed; whoever takes over
judges them again and produces them again, with the same `guard-origin`: cluster/topic/partition/offset of the input.

Why a high-water mark per input partition is not enough. First copies are in order, so a record at or below the highest
offset seen looks like a copy. Three times it is not: a bundle was swapped between the two attempts, and a record that
had gone to quarantine comes to clean for the first time; scoring failed the first time and not the second; a reviewer
releases an old record. All three carry an old offset and must not be dropped. So it is remembered of each single
offset whether it was seen.

Why memory is bounded. One bit per offset, in pages of 32,768; the pages used last are kept, 16,384 of them: half a
billion offsets in 64 MiB. Copies come soon after their first one (a kill repeats what was judged since the last commit,
a process that was stopped and goes on repeats one batch), and their pages are those used last. A record whose page was
forgotten counts as new: in doubt a record is passed twice, never lost. Forged origins, one page each, only make it
forget sooner.

A reader that starts again has forgotten everything; `docs/consumers.md` says what to do about that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Self

from guard.stream.headers import ORIGIN

__all__ = ["Deduplicator", "Origin", "origin_of"]

_PAGE_OFFSETS = 1 << 15
_PAGES = 1 << 14

_MAX_OFFSET_DIGITS = 19
"""An offset is an int64; Python would take hours to read a number of a million digits."""


class Origin(NamedTuple):
    """Where the guard read a record."""

    cluster: str
    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, value: bytes | str | None) -> Self | None:
        """The origin that a `guard-origin` header says; None where it says none."""
        try:
            text = value.decode() if isinstance(value, bytes) else value or ""
        except UnicodeDecodeError:
            return None
        cluster, *rest = text.split("/")
        if len(rest) != 3 or not (_is_number(rest[1]) and _is_number(rest[2])):
            return None
        return cls(cluster, rest[0], int(rest[1]), int(rest[2]))


class Deduplicator:
    """Remembers which origins were seen, in bounded memory. One instance per topic that is read."""

    def __init__(self, pages: int = _PAGES) -> None:
        self._limit = pages
        self._pages: OrderedDict[tuple[str, str, int, int], bytearray] = OrderedDict()

    def first(self, origin: Origin) -> bool:
        """Whether this origin was not seen before; from now on it is."""
        number, place = divmod(origin.offset, _PAGE_OFFSETS)
        page = self._page((origin.cluster, origin.topic, origin.partition, number))
        byte, bit = place >> 3, 1 << (place & 7)
        seen = page[byte] & bit
        page[byte] |= bit
        return not seen

    def _page(self, key: tuple[str, str, int, int]) -> bytearray:
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
            return page
        if len(self._pages) >= self._limit:
            self._pages.popitem(last=False)
        page = self._pages[key] = bytearray(_PAGE_OFFSETS // 8)
        return page


def origin_of(headers: Sequence[tuple[str, bytes | None]]) -> Origin | None:
    """The origin in a record's headers, as aiokafka gives them; None for a record that no guard wrote."""
    return next((Origin.parse(value) for name, value in headers if name == ORIGIN), None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_OFFSET_DIGITS
