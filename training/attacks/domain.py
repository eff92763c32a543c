"""What an attacker may send: the legal range of columns, pixels and labels, read from the specification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel
from training.attacks.attack import Inputs

__all__ = ["class_count", "is_image_classes", "is_numeric", "label_range", "require", "scaled", "unscaled"]


def require(holds: bool, domain: str) -> None:  # noqa: FBT001 – reads as a sentence: require(is_numeric(spec), "…")
    """Raises `WrongUse` with the name of the domain that an attack is made for, unless that `holds`."""
    if not holds:
        raise WrongUse(f"this attack is made for {domain}")


def is_numeric(spec: InputSpec) -> bool:
    """True for images, and for tables of nothing but numbers without gaps."""
    if isinstance(spec.input, ImageInput):
        return True
    return all(isinstance(column, NumberColumn) and not column.gaps for column in spec.input.columns)


def is_image_classes(spec: InputSpec) -> bool:
    """True for images with a class as their label."""
    return isinstance(spec.input, ImageInput) and isinstance(spec.label, ClassLabel)


def class_count(spec: InputSpec) -> int:
    """Number of classes; raises `WrongUse` for regression."""
    if not isinstance(spec.label, ClassLabel):
        raise WrongUse("this attack is made for classes, but the label is a number")
    return len(spec.label.values)


def label_range(spec: InputSpec) -> tuple[float, float]:
    """Smallest and largest legal label; raises `WrongUse` for classification."""
    if not isinstance(spec.label, NumberLabel):
        raise WrongUse("this attack is made for regression, but the label is a class")
    return spec.label.minimum, spec.label.maximum


def scaled(x: Inputs, spec: InputSpec) -> NDArray[np.float64]:
    """Encoded x as float64 (n, d) in [0, 1]: each number over the legal range of its column, each pixel over 255.

    Raises `WrongUse` for tables with text, booleans or gaps.
    """
    low, span = _ranges(spec)
    return np.asarray((x.reshape(len(x), -1) - low) / np.where(span > 0, span, 1.0))


def unscaled(z: NDArray[np.float64], spec: InputSpec) -> NDArray[np.float64]:
    """The encoded table of which z, float64 (n, d) in [0, 1], is the scaled form; never outside the legal ranges."""
    low, span = _ranges(spec)
    return np.clip(low + z * span, low, low + span)


def _ranges(spec: InputSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest legal value and width of the legal range, (d,) each."""
    if isinstance(spec.input, ImageInput):
        return np.zeros(1), np.full(1, 255.0)
    require(is_numeric(spec), "images, or tables of numbers without gaps")
    numbers = [column for column in spec.input.columns if isinstance(column, NumberColumn)]
    low = np.array([column.minimum for column in numbers])
    return low, np.array([column.maximum for column in numbers]) - low
