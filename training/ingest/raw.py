"""What every reader delivers: typed columns or images, the label, and the number of each row in its source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from guard.cells import FALSE_CELLS, GAP_CELLS, TRUE_CELLS
from training.findings import Finding

__all__ = [
    "ColumnKind",
    "RawColumn",
    "RawImages",
    "RawInput",
    "RawTable",
    "boolean_column",
    "cell_column",
    "number_column",
    "text_column",
]

ColumnKind = Literal["number", "category", "boolean"]
"""What the values of a column are."""


@dataclass(frozen=True)
class RawColumn:
    """One column. `codes`: float64 (n,): the number, 1 and 0, or the index into sorted `values`; NaN is a gap."""

    name: str
    kind: ColumnKind
    codes: NDArray[np.float64]
    values: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.bool_]) -> RawColumn:
        """The rows where `rows` (n,) is true; `values` stay as they are."""
        return replace(self, codes=self.codes[rows])


@dataclass(frozen=True)
class RawTable:
    """Rows of columns. `origin`: int64 (n,) row numbers of the source from 1; `findings`: what the reader met."""

    columns: tuple[RawColumn, ...]
    label: RawColumn
    origin: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()

    def take(self, rows: NDArray[np.bool_]) -> RawTable:
        """The rows where `rows` (n,) is true."""
        columns = tuple(column.take(rows) for column in self.columns)
        return replace(self, columns=columns, label=self.label.take(rows), origin=self.origin[rows])

    def content(self) -> NDArray[np.float64]:
        """All columns side by side, float64 (n, columns)."""
        return np.column_stack([column.codes for column in self.columns])


@dataclass(frozen=True)
class RawImages:
    """Images of one size. `x`: uint8 (n, height, width, channels); the rest as in RawTable."""

    x: NDArray[np.uint8]
    label: RawColumn
    origin: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()

    def take(self, rows: NDArray[np.bool_]) -> RawImages:
        """The rows where `rows` (n,) is true."""
        return replace(self, x=self.x[rows], label=self.label.take(rows), origin=self.origin[rows])

    def content(self) -> NDArray[np.uint8]:
        """The images themselves."""
        return self.x


RawInput = RawTable | RawImages
"""What `training.ingest.source.read_source` returns."""


def number_column(name: str, values: NDArray[np.generic]) -> RawColumn:
    """A column of numbers (n,) of any numeric dtype; NaN is a gap."""
    return RawColumn(name, "number", values.astype(np.float64))


def boolean_column(name: str, values: Iterable[bool | None]) -> RawColumn:
    """A column of true, false and None (a gap)."""
    return RawColumn(name, "boolean", np.array([np.nan if v is None else float(v) for v in values], np.float64))


def text_column(name: str, texts: Sequence[str | None]) -> RawColumn:
    """A column of categories; None is a gap. The text is kept to the letter."""
    values = sorted({text for text in texts if text is not None})
    codes: dict[str | None, float] = {text: index for index, text in enumerate(values)}
    return RawColumn(name, "category", _codes(texts, codes | {None: np.nan}), tuple(values))


def cell_column(name: str, cells: Sequence[str], *, is_label: bool = False) -> RawColumn:
    """A column of CSV cells: booleans if all cells are true or false, else numbers if all parse, else categories.

    Gaps are `guard.cells.GAP_CELLS`. A label is never boolean: in the wire format it is text or a number.
    """
    if (numbers := _numbers(cells)) is not None:
        return RawColumn(name, "number", numbers)
    known = sorted(set(cells) - GAP_CELLS)
    if not is_label and set(known) <= TRUE_CELLS | FALSE_CELLS:
        return RawColumn(name, "boolean", _cell_codes(cells, {cell: float(cell in TRUE_CELLS) for cell in known}))
    if (numbers := _numbers(known)) is not None:
        return RawColumn(name, "number", _cell_codes(cells, dict(zip(known, numbers.tolist(), strict=True))))
    return text_column(name, [None if cell in GAP_CELLS else cell for cell in cells])


def _numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The cells as numbers, None if one is no number. Python reads 1_000 as a number, JSON does not."""
    try:
        numbers = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return None if "_" in "".join(cells) else numbers


def _cell_codes(cells: Sequence[str], codes: dict[str, float]) -> NDArray[np.float64]:
    return _codes(cells, codes | dict.fromkeys(GAP_CELLS, np.nan))


def _codes(
    cells: Sequence[str | None] | Sequence[str], codes: dict[str | None, float] | dict[str, float]
) -> NDArray[np.float64]:
    return np.fromiter(map(codes.__getitem__, cells), np.float64, len(cells))  # type: ignore[arg-type]
