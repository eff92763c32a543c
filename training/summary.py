"""What a snapshot holds, column by column and class by class, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.spec import CategoryColumn, ClassLabel, Column, NumberColumn, TableInput
from training.snapshot import Snapshot

__all__ = ["ClassSummary", "ColumnSummary", "summarise_classes", "summarise_columns"]

_VALUES = 6


@dataclass(frozen=True)
class ColumnSummary:
    """One column: the values that occur, the values that will be legal, and the share of gaps in [0, 1]."""

    name: str
    kind: str
    values: str
    legal: str
    gaps: float


@dataclass(frozen=True)
class ClassSummary:
    """One class and its number of rows."""

    label: str | int
    rows: int


def summarise_columns(snapshot: Snapshot) -> list[ColumnSummary]:
    """The columns of a table in their order; nothing for images."""
    if not isinstance(snapshot.spec.input, TableInput):
        return []
    pairs = zip(snapshot.spec.input.columns, snapshot.x.T, strict=True)
    return [_column(column, values.astype(np.float64)) for column, values in pairs]


def summarise_classes(snapshot: Snapshot) -> list[ClassSummary]:
    """The classes in their order; nothing for regression."""
    if not isinstance(snapshot.spec.label, ClassLabel):
        return []
    values: tuple[str | int, ...] = snapshot.spec.label.values
    counts = np.bincount(snapshot.y.astype(np.int64), minlength=len(values))
    return [ClassSummary(label, int(rows)) for label, rows in zip(values, counts, strict=True)]


def _column(column: Column, values: NDArray[np.float64]) -> ColumnSummary:
    gaps = float(np.isnan(values).mean())
    if isinstance(column, NumberColumn):
        seen = f"{np.nanmin(values):g} … {np.nanmax(values):g}"
        return ColumnSummary(column.name, "number", seen, f"{column.minimum:g} … {column.maximum:g}", gaps)
    if isinstance(column, CategoryColumn):
        return ColumnSummary(column.name, "category", _listed(column.values), "these", gaps)
    seen = f"{100 * np.nanmean(values):.1f} % true"
    return ColumnSummary(column.name, "boolean", seen, "true, false", gaps)


def _listed(values: tuple[str, ...]) -> str:
    more = f", … ({len(values)} in all)" if len(values) > _VALUES else ""
    return ", ".join(values[:_VALUES]) + more
