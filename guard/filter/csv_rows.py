r"""CSV in constant memory: commas, one header line, UTF-8 with or without a byte order mark. Positions count rows.

Bytes that are not UTF-8 become their escape, such as `\xe9`: text that no category and no number matches.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from guard.errors import InputUnreadable
from guard.filter.reader import Window
from guard.filter.rows import Columns, RowEncoder
from guard.spec import InputSpec

__all__ = ["CsvRows"]

_WINDOW_ROWS = 1024


class CsvRows:
    """The rows of a CSV file. Blank lines are no rows; a row that cannot be read is one rejected record."""

    total: int | None = None

    def __init__(self, path: Path, spec: InputSpec, columns: Columns) -> None:
        self._path = path
        with _open(path) as file:
            header = _header(file, path)
        if not header:
            raise InputUnreadable(f"{path} is empty. Write a header line and one line per row.")
        self._encoder = RowEncoder(spec, header, columns, str(path))

    def windows(self, start: int) -> Iterator[Window]:
        """See `Reader`."""
        with _open(self._path) as file:
            lines = self._lines(file)
            next(islice(lines, start, start), None)
            position = start
            while records := list(islice(lines, _WINDOW_ROWS)):
                position += len(records)
                yield Window(records, position)

    def _lines(self, file: TextIO) -> Iterator[bytes]:
        reader = csv.reader(file)
        next(reader)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield self._encoder.broken(f"line {reader.line_num}: {error}")
                continue
            except OSError as error:
                raise InputUnreadable(
                    f"{self._path} cannot be read: {error.strerror}. Run again with --resume."
                ) from error
            if row:
                yield self._encoder.line(row)


def _header(file: TextIO, path: Path) -> list[str]:
    try:
        return next(csv.reader(file), [])
    except csv.Error as error:
        raise InputUnreadable(f"{path}: the header line is not CSV ({error}). Write the column names there.") from error


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8-sig", errors="backslashreplace", newline="")
    except OSError as error:
        raise InputUnreadable(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions."
        ) from error
