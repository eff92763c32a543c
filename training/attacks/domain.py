"""What a method is made for, and what an attacker may send: both are read from the specification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from guard.errors import WrongUse
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from training.attacks.attack import Inputs, Labels

__all__ = [
    "NUMERIC_CLASSES",
    "class_count",
    "is_classes",
    "is_image_classes",
    "is_numeric",
    "is_numeric_classes",
    "is_numeric_regression",
    "is_regression",
    "label_range",
    "require",
    "scaled",
    "scaled_labels",
    "unscaled",
    "unscaled_labels",
]

NUMERIC_CLASSES = "classes of images, or of tables of numbers without gaps"
"""The domain of `is_numeric_classes`, in words."""


def require(holds: bool, domain: str) -> None:  # noqa: FBT001 – reads as a sentence: require(is_numeric(spec), "…")
    """Raises `WrongUse` with the domain that an attack or a defence is made for, in words, unless that `holds`."""
    if not holds:
        raise WrongUse(f"this method is made for {domain}")


def is_classes(spec: InputSpec) -> bool:
    """True where the label is a class."""
    return isinstance(spec.label, ClassLabel)


def is_regression(spec: InputSpec) -> bool:
    """True where the label is a number."""
    return isinstance(spec.label, NumberLabel)


def is_numeric(spec: InputSpec) -> bool:
    """True for images, and for tables of nothing but numbers without gaps."""
    if isinstance(spec.input, ImageInput):
        return True
    return all(isinstance(column, NumberColumn) and not column.gaps for column in spec.input.columns)


def is_image_classes(spec: InputSpec) -> bool:
    """True for images with a class as their label."""
    return isinstance(spec.input, ImageInput) and is_classes(spec)


def is_numeric_classes(spec: InputSpec) -> bool:
    """True for classes of images, and of tables that a support vector machine can be trained on as they are."""
    return is_numeric(spec) and is_classes(spec)


def is_numeric_regression(spec: InputSpec) -> bool:
    """True for regression on tables of nothing but numbers without gaps."""
    return isinstance(spec.input, TableInput) and is_numeric(spec) and is_regression(spec)


def class_count(spec: InputSpec) -> int:
    """Number of classes; raises `WrongUse` for regression."""
    if not isinstance(spec.label, ClassLabel):
        raise WrongUse("this method is made for classes, but the label is a number")
    return len(spec.label.values)


def label_range(spec: InputSpec) -> tuple[float, float]:
    """Smallest and largest legal label; raises `WrongUse` for classification."""
    if not isinstance(spec.label, NumberLabel):
        raise WrongUse("this method is made for regression, but the label is a class")
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


def scaled_labels(y: Labels, spec: InputSpec) -> NDArray[np.float64]:
    """Numbers y (n,) in [0, 1], over the legal range; raises `WrongUse` for classification."""
    low, high = label_range(spec)
    return np.asarray((y - low) / ((high - low) or 1.0))


def unscaled_labels(share: NDArray[np.float64], spec: InputSpec) -> NDArray[np.float64]:
    """The numbers of which `share` (n,) is the scaled form; never outside the legal range. Raises `WrongUse`, too."""
    low, high = label_range(spec)
    return np.clip(low + share * (high - low), low, high)


def _ranges(spec: InputSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest legal value and width of the legal range, (d,) each."""
    if isinstance(spec.input, ImageInput):
        return np.zeros(1), np.full(1, 255.0)
    require(is_numeric(spec), "images, or tables of numbers without gaps")
    numbers = [column for column in spec.input.columns if isinstance(column, NumberColumn)]
    low = np.array([column.minimum for column in numbers])
    return low, np.array([column.maximum for column in numbers]) - low
