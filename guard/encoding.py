"""The encoded form of samples as numpy arrays, and which encoded rows an input specification allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from guard.npz import ArrayKind
from guard.payload import column_bounds
from guard.rejection import Rejection
from guard.spec import CategoryColumn, ClassLabel, InputSpec, NumberColumn, NumberLabel, TableInput
from guard.verdict import RejectReason

__all__ = ["class_indices", "first_illegal", "illegal_rows", "label_kind", "label_value", "require_encoded", "row_kind"]


def row_kind(spec: InputSpec) -> ArrayKind:
    """The dtype and shape of encoded x: float64 (n, columns), or uint8 (n, height, width, channels)."""
    if isinstance(spec.input, TableInput):
        return ArrayKind("<f8", (None, len(spec.input.columns)))
    return ArrayKind("|u1", (None, spec.input.height, spec.input.width, spec.input.channels))


def label_kind(spec: InputSpec) -> ArrayKind:
    """The dtype and shape of encoded y: int64 (n,) class index, or float64 (n,)."""
    return ArrayKind("<i8" if isinstance(spec.label, ClassLabel) else "<f8", (None,))


def class_indices(y: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) the class index by which calibration groups samples: y itself, zeros for regression."""
    return y if y.dtype == np.int64 else np.zeros(len(y), dtype=np.int64)


def label_value(spec: InputSpec, encoded: float) -> str | int | float | None:
    """The label as it stands on the wire: the class value at an index, None outside the classes; or the number."""
    if not isinstance(spec.label, ClassLabel):
        return float(encoded)
    values = spec.label.values
    return values[int(encoded)] if 0 <= encoded < len(values) else None


def require_encoded(spec: InputSpec, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Raises WrongUse unless `x` and `y` have the dtype and shape of encoded samples, and as many rows."""
    for name, array, kind in (("x", x, row_kind(spec)), ("y", y, label_kind(spec))):
        if not kind.admits(array):
            raise WrongUse(f"{name} is {array.dtype.str} {array.shape}; this bundle reads {kind}")
    if len(x) != len(y):
        raise WrongUse(f"x has {len(x)} rows and y has {len(y)}; give one label per sample")


def illegal_rows(spec: InputSpec, x: NDArray[Any], y: NDArray[Any]) -> dict[int, Rejection]:
    """Why each encoded row that `spec` does not allow is malformed, by row; every byte of an image is legal.

    A class index outside the specification is not malformed: it is a label that the snapshot never held.
    """
    found: dict[int, Rejection] = {}
    if isinstance(spec.input, TableInput):
        for row, column in np.argwhere(~_legal_cells(spec.input, x)).tolist():
            found.setdefault(row, _cell_rejection(spec.input, column, float(x[row, column])))
    if isinstance(spec.label, NumberLabel):
        for row in np.flatnonzero(~((y >= spec.label.minimum) & (y <= spec.label.maximum))).tolist():
            found.setdefault(row, _rejection("label", float(y[row]), spec.label.minimum, spec.label.maximum))
    return found


def first_illegal(spec: InputSpec, x: NDArray[Any], y: NDArray[Any]) -> str | None:
    """What is wrong with the first row that no sample may have, unknown classes included; None if there is none."""
    for row, rejection in illegal_rows(spec, x, y).items():
        return f"row {row}: {rejection.detail}"
    if isinstance(spec.label, ClassLabel):
        unknown = np.flatnonzero((y < 0) | (y >= len(spec.label.values)))
        return f"row {unknown[0]}: there is no class {y[unknown[0]]}" if len(unknown) else None
    return None


def _legal_cells(table: TableInput, x: NDArray[np.float64]) -> NDArray[np.bool_]:
    low, high = column_bounds(table.columns, x.dtype)
    whole = np.array([not isinstance(column, NumberColumn) for column in table.columns])
    gaps = np.array([column.gaps for column in table.columns])
    legal: NDArray[np.bool_] = (x >= low) & (x <= high) & (~whole | (x == np.floor(x))) | (np.isnan(x) & gaps)
    return legal


def _cell_rejection(table: TableInput, index: int, value: float) -> Rejection:
    column = table.columns[index]
    if isinstance(column, CategoryColumn):
        detail = f"x[{index}], column {column.name!r}, is {value}; send an index below {len(column.values)}"
        return Rejection(RejectReason.UNKNOWN_CATEGORY, detail)
    low, high = (bound.item() for bound in column_bounds([column], np.dtype("<f8")))
    return _rejection(f"x[{index}], column {column.name!r},", value, low, high)


def _rejection(where: str, value: float, low: float, high: float) -> Rejection:
    reason = RejectReason.OUT_OF_RANGE if np.isfinite(value) else RejectReason.NON_FINITE
    return Rejection(reason, f"{where} is {value}; send a number in [{low}, {high}]")
