"""JSON Lines in constant memory: blocks of bytes are cut at LF, and at nothing else.

A line's bytes are never changed: a carriage return before the LF, a byte order mark and invalid UTF-8 stay in it. A
last line without LF is a line. A line longer than `max_record_bytes` is handed on in pieces and never held as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from guard.errors import InputUnreadable
from guard.filter.reader import Piece, Window

__all__ = ["WINDOW_BYTES", "FileLines", "PipeLines", "cut_lines"]

WINDOW_BYTES = 1 << 20
"""Bytes read at a time: about 900 MNIST tensors. Larger ones gain no speed and cost memory three times over."""


class FileLines:
    """The lines of a regular file; positions are byte offsets."""

    def __init__(self, path: Path, max_record_bytes: int, window_bytes: int = WINDOW_BYTES) -> None:
        self._path = path
        self._max_record_bytes = max_record_bytes
        self._window_bytes = window_bytes
        self.total: int | None = path.stat().st_size

    def windows(self, start: int) -> Iterator[Window | Piece]:
        """See `Reader`."""
        try:
            with self._path.open("rb") as file:
                file.seek(start)
                yield from cut_lines(file.read, start, self._max_record_bytes, self._window_bytes)
        except OSError as error:
            raise InputUnreadable(
                f"{self._path} cannot be read: {error.strerror}. Check the file and run again."
            ) from error


class PipeLines:
    """The lines of a pipe; positions count the bytes that came through it.

    `read(n)` waits for at least one byte and returns at most n, b"" at the end: what a slow sender has finished is
    judged at once.
    """

    total: int | None = None

    def __init__(self, read: Callable[[int], bytes], max_record_bytes: int, window_bytes: int = WINDOW_BYTES) -> None:
        self._read = read
        self._max_record_bytes = max_record_bytes
        self._window_bytes = window_bytes

    def windows(self, start: int) -> Iterator[Window | Piece]:
        """See `Reader`. A pipe starts at 0 and cannot go back."""
        try:
            yield from cut_lines(self._read, start, self._max_record_bytes, self._window_bytes)
        except OSError as error:
            raise InputUnreadable(f"standard input broke off: {error.strerror}. Run the sender again.") from error


def cut_lines(
    read: Callable[[int], bytes], start: int, max_record_bytes: int, window_bytes: int
) -> Iterator[Window | Piece]:
    """Windows of the lines that `read(n)` delivers, from byte `start` on; at least one line each.

    A line that is still unfinished when more than `max_record_bytes` of it were read comes as pieces. With windows no
    larger than that, what comes depends on `start` alone, not on where reading began.
    """
    unfinished: list[bytes] = []
    size = 0
    in_pieces = False
    while block := read(window_bytes - size if size < window_bytes else window_bytes):
        if in_pieces:
            head, end, rest = block.partition(b"\n")
            start += len(head) + len(end)
            in_pieces = not end
            unfinished, size = [rest], len(rest)
            yield Piece(head, bool(end), start)
            continue
        unfinished.append(block)
        size += len(block)
        if b"\n" in block or b"\n" in unfinished[0]:
            *records, tail = b"".join(unfinished).split(b"\n")
            start += size - len(tail)
            unfinished, size = [tail], len(tail)
            yield Window(records, start)
        elif size > max_record_bytes:
            start += size
            in_pieces = True
            yield Piece(b"".join(unfinished), False, start)  # noqa: FBT003
            unfinished, size = [], 0
    if in_pieces:
        yield Piece(b"", True, start)  # noqa: FBT003
    elif size:
        yield Window(b"".join(unfinished).removesuffix(b"\n").split(b"\n"), start + size)
