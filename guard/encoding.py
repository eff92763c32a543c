"""The encoded form of samples as numpy arrays, and which encoded rows an input specification allows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from guard.npz import ArrayKind
from guard.spec import ClassLabel, InputSpec, TableInput

__all__ = ["class_indices", "label_kind", "label_value", "require_encoded", "row_kind"]


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


def label_value(spec: InputSpec, encoded: float) -> str | int | float:
    """The label as it stands on the wire: the class value at an index, or the number."""
    if isinstance(spec.label, ClassLabel):
        return spec.label.values[int(encoded)]
    return float(encoded)


def require_encoded(spec: InputSpec, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Raises WrongUse unless `x` and `y` have the dtype and shape of encoded samples, and as many rows."""
    for name, array, kind in (("x", x, row_kind(spec)), ("y", y, label_kind(spec))):
        if not kind.admits(array):
            raise WrongUse(f"{name} is {array.dtype.str} {array.shape}; this bundle reads {kind}")
    if len(x) != len(y):
        raise WrongUse(f"x has {len(x)} rows and y has {len(y)}; give one label per sample")
