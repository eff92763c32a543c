"""Rows of tables as lines of the wire format: which column is which, and how a cell becomes JSON.

Nothing is judged here. A cell that does not read as its column wants is sent on as it stands, and the decoder, which
is the same for every input, rejects the record and says why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from guard.cells import FALSE_CELLS, GAP_CELLS, TRUE_CELLS
from guard.errors import InputUnreadable, WrongUse
from guard.sample import IDENTIFIER_LENGTH
from guard.spec import BooleanColumn, ClassLabel, InputSpec, NumberColumn, TableInput

__all__ = ["Columns", "RowEncoder", "label_value", "number_value", "text_value"]

_LARGEST_EXACT = 2**53
_BEYOND = {True: msgspec.Raw(b"1e999"), False: msgspec.Raw(b"-1e999")}
"""Infinity has no spelling in JSON; these numbers are legal there and no finite double."""

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class Columns:
    """What the user said of columns: the label's, the source's (None: `default_source`), those to leave out.

    Without a label's column (None) every record claims the specification's first label: for rows that are only read.
    """

    label: str | None
    source: str | None
    default_source: str
    drop: Collection[str] = ()


class RowEncoder:
    """Encodes rows of one table. Raises InputUnreadable when its header does not fit the specification."""

    def __init__(self, spec: InputSpec, header: Sequence[str], columns: Columns, title: str) -> None:
        if not isinstance(spec.input, TableInput):
            raise InputUnreadable(f"{title} is a table, but the bundle judges images. Send JSON Lines or NPZ.")
        _check_header(spec.input, header, columns, title)
        self._width = len(header)
        self._label_at = None if columns.label is None else header.index(columns.label)
        self._source_at = None if columns.source is None else header.index(columns.source)
        self._default_source = columns.default_source[:IDENTIFIER_LENGTH]
        self._cells = [
            (column.name, header.index(column.name), _reader(column))
            for column in spec.input.columns
            if column.name in header
        ]
        self._spec = spec
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def line(self, row: Sequence[Cell]) -> bytes:
        """One row as a record."""
        if len(row) != self._width:
            return self.broken(f"row of {len(row)} cells under a header of {self._width}", row)
        source = self._default_source if self._source_at is None else row[self._source_at]
        features = {name: read(row[at]) for name, at, read in self._cells}
        return self._encode({"source": source, "label": self._label(row), "features": features})

    def _label(self, row: Sequence[Cell]) -> Any:
        if self._label_at is not None:
            return label_value(self._spec, row[self._label_at])
        label = self._spec.label
        return label.values[0] if isinstance(label, ClassLabel) else label.minimum

    def broken(self, what: str, content: Any = None) -> bytes:
        """A record that stands for a row that cannot be read: the decoder rejects it for its key, which is `what`."""
        return self._encode({"source": self._default_source, what: content})


def label_value(spec: InputSpec, cell: Cell) -> Any:
    """A label as JSON: a number where the specification has numbers and the cell reads as one, else the text itself."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(spec.label, ClassLabel) and isinstance(spec.label.values[0], str):
        return None if cell in GAP_CELLS else cell
    value = number_value(cell)
    if isinstance(spec.label, ClassLabel) and isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) < _LARGEST_EXACT else value
    return value


def _check_header(table: TableInput, header: Sequence[str], columns: Columns, title: str) -> None:
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise InputUnreadable(f"{title}: columns stand twice in the header: {twice}. Rename or remove them.")
    required = {column.name for column in table.columns if not column.gaps}
    required |= {name for name in (columns.label, columns.source) if name is not None}
    if missing := sorted(required - set(header)):
        raise InputUnreadable(
            f"{title} has no column {missing[0]!r}; it has {_some(header)}. Correct header or options."
        )
    known = {column.name for column in table.columns} | required | set(columns.drop)
    if unknown := [name for name in header if name not in known]:
        raise InputUnreadable(
            f"{title}: the bundle knows no column {unknown[0]!r}. Leave it out with --drop {unknown[0]!r}, or name it "
            "with --source if it says who sent the row."
        )
    if columns.label in columns.drop or columns.source in columns.drop:
        raise WrongUse("the column of --label or --source cannot be dropped. Remove it from --drop.")


def _some(header: Sequence[str]) -> str:
    more = f" and {len(header) - 20} more" if len(header) > 20 else ""
    return ", ".join(map(repr, header[:20])) + more


def _reader(column: object) -> Callable[[Cell], Any]:
    if isinstance(column, NumberColumn):
        return number_value
    return _boolean if isinstance(column, BooleanColumn) else text_value


def number_value(cell: Cell) -> Any:
    """A finite number where the cell reads as one, null for a gap or NaN, an illegal number for infinity, else text."""
    if cell is None or cell in GAP_CELLS or isinstance(cell, bool):
        return cell if isinstance(cell, bool) else None
    if isinstance(cell, str) and "_" in cell:  # Python reads 1_000 as a number, JSON does not
        return cell
    try:
        value = float(cell)
    except (TypeError, ValueError, OverflowError):
        return cell if isinstance(cell, str) else str(cell)
    if math.isinf(value):
        return _BEYOND[value > 0]
    return None if math.isnan(value) else value


def _boolean(cell: Cell) -> Any:
    if cell in TRUE_CELLS or cell in FALSE_CELLS:
        return cell in TRUE_CELLS
    return text_value(cell)


def text_value(cell: Cell) -> Any:
    """Text as it stands; null for a gap."""
    return None if isinstance(cell, str) and cell in GAP_CELLS else cell
