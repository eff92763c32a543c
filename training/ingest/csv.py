"""Reads a CSV file: commas, one header line, UTF-8 with or without a byte order mark, any line ends."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from guard.errors import InputUnreadable
from training.findings import Finding, of_rows
from training.ingest.columns import check_names
from training.ingest.raw import RawTable, cell_column

__all__ = ["read_csv"]


def read_csv(raw: bytes, title: str, label: str | None, drop: Sequence[str] = ()) -> RawTable:
    """The table in `raw`; `title` names the file in messages. Row 1 is the first line after the header.

    Rows with too few or too many cells are left out and reported. Raises InputUnreadable when the file is not text or
    breaks within a quoted cell, SnapshotRefused when the header is no list of distinct names or lacks `label` or one
    of `drop`, WrongUse without a label.
    """
    rows = _rows(_text(raw, title), title)
    if not rows:
        raise InputUnreadable(f"{title} is empty; write a header line and one line per row")
    header = rows.pop(0)
    label = check_names(header, title, label, drop)
    origin = np.array([number for number, row in enumerate(rows, 1) if len(row) == len(header)], np.int64)
    findings = _wrong_lengths(rows, len(header))
    cells = dict(zip(header, zip(*(row for row in rows if len(row) == len(header)), strict=True), strict=False))
    columns = tuple(cell_column(name, cells.get(name, ())) for name in header if name != label and name not in drop)
    return RawTable(columns, cell_column(label, cells.get(label, ()), is_label=True), origin, findings)


def _text(raw: bytes, title: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        line = raw.count(b"\n", 0, broken.start) + 1
        raise InputUnreadable(f"{title}, line {line}: not UTF-8 text; save the file as UTF-8") from broken


def _rows(text: str, title: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return [row for row in reader if row]
    except csv.Error as broken:
        raise InputUnreadable(f"{title}, line {reader.line_num}: {broken}; correct the quotes of that line") from broken


def _wrong_lengths(rows: list[list[str]], columns: int) -> tuple[Finding, ...]:
    wrong = [number for number, row in enumerate(rows, 1) if len(row) != columns]
    if not wrong:
        return ()
    cells = len(rows[wrong[0] - 1])
    text = f"rows left out: the header has {columns} columns, row {wrong[0]} has {cells} cells"
    return (of_rows("warning", "malformed_row", text, wrong),)
