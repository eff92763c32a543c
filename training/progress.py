"""Progress of long work: a bar with time left on a terminal, silence elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

__all__ = ["Bars", "Progress", "Silent", "terminal_progress"]

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


class Bars:
    """A bar with time left for every loop that runs, gone when the loop ends; loops may lie inside each other."""

    def __init__(self, display: RichProgress) -> None:
        self._display = display

    def track(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Yields `items` unchanged; without `total` or a length the bar only pulses."""
        length = len(items) if total is None and isinstance(items, Sized) else total
        task = self._display.add_task(what, total=length)
        try:
            for item in items:
                yield item
                self._display.advance(task)
        finally:
            self._display.remove_task(task)


@contextmanager
def terminal_progress(console: Console | None = None) -> Iterator[Progress]:
    """Bars on standard error where that is a terminal, silence where it is not."""
    console = Console(stderr=True) if console is None else console
    if not console.is_terminal:
        yield Silent()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with RichProgress(*columns, TimeRemainingColumn(), console=console, transient=True) as display:
        yield Bars(display)
