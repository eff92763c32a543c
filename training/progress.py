"""Progress of long work: a bar with time left on a terminal, silence elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["Progress", "Silent"]

T = TypeVar("T")


class Progress(Protocol):
    """Wraps an iterable and shows how far it is."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Yields `items` unchanged; `total` is needed when `items` has no length."""
        ...


class Silent:
    """Shows nothing: for tests, pipes and log files."""

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:  # noqa: ARG002 – the protocol
        """Yields `items` unchanged."""
        yield from items
