"""Reads a CSV file: commas, one header line, UTF-8 with or without a byte order mark, any line ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from guard.errors import InputUnreadable
from training.findings import Finding, of_rows
from training.ingest.columns import check_names
from training.ingest.raw import RawTable, cell_column

__all__ = ["read_csv"]

_WINDOW = 1024
"""Rows that are turned into columns at a time: all at once would hold every row twice."""


def read_csv(raw: bytes, title: str, label: str | None, drop: Sequence[str] = ()) -> RawTable:
    """The table in `raw`; `title` names the file in messages. Row 1 is the first line after the header.

    Rows with too few or too many cells are left out and reported. Raises InputUnreadable when the file is not text or
    breaks within a quoted cell, SnapshotRefused when the header is no list of distinct names or lacks `label` or one
    of `drop`, WrongUse without a label.
    """
    rows = _rows(_text(raw, title), title)
    header = next(rows, None)
    if header is None:
        raise InputUnreadable(f"{title} is empty; write a header line and one line per row")
    label = check_names(header, title, label, drop)
    cells, origin, wrong = _columns(rows, len(header))
    named = dict(zip(header, cells, strict=True))
    columns = tuple(cell_column(name, named[name]) for name in header if name != label and name not in drop)
    target = cell_column(label, named[label], is_label=True)
    return RawTable(columns, target, np.array(origin, np.int64), _wrong_lengths(wrong, len(header)))


def _text(raw: bytes, title: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = raw.count(b"\n", 0, broken.start) + 1
        raise InputUnreadable(f"{title}, line {line}: not UTF-8 text; save the file as UTF-8") from broken


def _rows(text: str, title: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from (row for row in reader if row)
    except csv.Error as broken:
        raise InputUnreadable(f"{title}, line {reader.line_num}: {broken}; correct the quotes of that line") from broken


def _columns(rows: Iterator[list[str]], width: int) -> tuple[list[list[str]], list[int], dict[int, int]]:
    """The cells of each column, the numbers of their rows, and number → cells of the rows of wrong length."""
    columns: list[list[str]] = [[] for _ in range(width)]
    origin: list[int] = []
    wrong: dict[int, int] = {}
    numbered = enumerate(rows, 1)
    while window := list(islice(numbered, _WINDOW)):
        wrong |= {number: len(row) for number, row in window if len(row) != width}
        right = [row for _, row in window if len(row) == width]
        origin += [number for number, row in window if len(row) == width]
        for column, cells in zip(columns, zip(*right, strict=True), strict=False):
            column.extend(cells)
    return columns, origin, wrong


def _wrong_lengths(wrong: dict[int, int], width: int) -> tuple[Finding, ...]:
    if not wrong:
        return ()
    numbers = list(wrong)
    text = f"rows left out: the header has {width} columns, row {numbers[0]} has {wrong[numbers[0]]} cells"
    return (of_rows("warning", "malformed_row", text, numbers),)
