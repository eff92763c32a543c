"""What every kind of input is turned into: windows of whole records, in input order, with the place to go on from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Piece", "Reader", "Window", "numbered"]


@dataclass(frozen=True, slots=True)
class Window:
    """Whole records without their line ends. `position` is where reading goes on after them."""

    records: list[bytes]
    position: int


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one record that is too long to be held in memory; `last` closes the record, `position` follows it."""

    data: bytes
    last: bool
    position: int


class Reader(Protocol):
    """An input. `total` is the position of its end, None where that cannot be known (a pipe).

    What a window holds depends on nothing but the position it starts at, so that a resumed run scores the same
    batches as one that was never stopped, to the last bit.
    """

    total: int | None

    def windows(self, start: int) -> Iterator[Window | Piece]:
        """Everything from position `start` on. Raises InputUnreadable when the input breaks off or is damaged."""
        ...


def numbered(reader: Reader, max_record_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The records with their numbers, from 1; blank lines count and are left out.

    In the place of one that is too long to be held come more than `max_record_bytes` blanks, which are as good as any.
    Raises InputUnreadable.
    """
    number = 0
    for item in reader.windows(0):
        if isinstance(item, Piece):
            number += item.last
            if item.last:
                yield number, b" " * (max_record_bytes + 1)
            continue
        for number, value in enumerate(item.records, number + 1):  # noqa: B020
            if value.strip():
                yield number, value
