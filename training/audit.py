"""Do encoded rows keep what their InputSpec promises? The first row and column that does not is named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.errors import SnapshotRefused
from guard.spec import BooleanColumn, CategoryColumn, ClassLabel, Column, ImageInput, InputSpec, NumberLabel, TableInput

__all__ = ["MIN_ROWS", "audit_rows"]

MIN_ROWS = 30
"""Fewer trusted rows carry no calibration at all: at n = 29 the smallest p-value is 1/30, whatever the sample."""


def audit_rows(spec: InputSpec, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Raises SnapshotRefused unless `x` (n, …) and `y` (n,) are encoded exactly as `spec` says.

    Checked: dtype and shape, n ≥ MIN_ROWS, finite numbers within their bounds, indices within their closed sets, NaN
    only where gaps are legal, at least one row of every class.
    """
    if isinstance(spec.input, ImageInput):
        _audit_images(spec.input, x)
    else:
        _audit_table(spec.input, x)
    if isinstance(spec.label, ClassLabel):
        _audit_classes(spec.label, x, y)
    else:
        _audit_numbers(spec.label, x, y)


def _require(holds: bool | np.bool_, message: str) -> None:  # noqa: FBT001 – the condition is the first argument of any check
    if not holds:
        raise SnapshotRefused(message)


def _audit_count(rows: int) -> None:
    _require(
        rows >= MIN_ROWS,
        f"the snapshot has {rows} usable rows; at least {MIN_ROWS} are needed: add {MIN_ROWS - rows} trusted rows",
    )


def _audit_images(spec: ImageInput, x: NDArray[Any]) -> None:
    shape = (spec.height, spec.width, spec.channels)
    right = x.dtype == np.uint8 and x.ndim == 4 and x.shape[1:] == shape
    _require(
        right,
        f"images are {x.dtype} {x.shape}; the specification asks for uint8 (n, {shape[0]}, {shape[1]}, {shape[2]})",
    )
    _audit_count(len(x))


def _audit_table(spec: TableInput, x: NDArray[Any]) -> None:
    columns = len(spec.columns)
    right = x.dtype == np.float64 and x.ndim == 2 and x.shape[1] == columns
    _require(right, f"the table is {x.dtype} {x.shape}; the specification asks for float64 (n, {columns})")
    _audit_count(len(x))
    for column, values in zip(spec.columns, x.T, strict=True):
        _name_first(column.name, values, ~_legal(column, values), "is not what the specification allows")


def _legal(column: Column, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    low, high, step = _range(column)
    inside = (values >= low) & (values <= high)
    if step:
        inside &= values == np.floor(values)
    return inside | (np.isnan(values) & column.gaps)


def _range(column: Column) -> tuple[float, float, bool]:
    """Lowest and highest legal code of a column, and whether only whole numbers are legal."""
    if isinstance(column, CategoryColumn):
        return 0, len(column.values) - 1, True
    if isinstance(column, BooleanColumn):
        return 0, 1, True
    return column.minimum, column.maximum, False


def _name_first(column: str, values: NDArray[Any], wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise SnapshotRefused(
            f"row {row + 1}, column {column!r}: {values[row]} {what}; correct it or leave the row out"
        )


def _audit_classes(spec: ClassLabel, x: NDArray[Any], y: NDArray[Any]) -> None:
    _require(
        y.dtype == np.int64 and y.shape == (len(x),), f"class labels are {y.dtype} {y.shape}, not int64 ({len(x)},)"
    )
    wrong = (y < 0) | (y >= len(spec.values))
    _name_first("label", y, wrong, f"is no index of the {len(spec.values)} classes")
    empty = np.flatnonzero(np.bincount(y, minlength=len(spec.values)) == 0)
    if len(empty):
        raise SnapshotRefused(
            f"class {spec.values[empty[0]]!r} has no row: leave it out of the specification or add rows"
        )


def _audit_numbers(spec: NumberLabel, x: NDArray[Any], y: NDArray[Any]) -> None:
    _require(y.dtype == np.float64 and y.shape == (len(x),), f"labels are {y.dtype} {y.shape}, not float64 ({len(x)},)")
    wrong = ~((y >= spec.minimum) & (y <= spec.maximum))
    _name_first("label", y, wrong, f"is not a number in [{spec.minimum:g}, {spec.maximum:g}]")
