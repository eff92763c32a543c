"""Wrong labels for trusted rows: what golden vectors and self-tests put in place of the right ones. No attack."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.spec import ClassLabel, InputSpec

__all__ = ["wrong_labels"]

_SHIFT = (1.0, 3.0)


def wrong_labels(y: NDArray[Any], spec: InputSpec, rng: np.random.Generator) -> NDArray[Any]:
    """A label of the specification for each of `y` (n,) that is not its own, in the dtype of `y`.

    Classes: uniformly one of the others. Numbers: moved by 1 to 3 standard deviations of `y`, up or down, the other way
    where that would leave the specified range, and to the farther end of the range where both would.
    """
    if isinstance(spec.label, ClassLabel):
        classes = len(spec.label.values)
        return (y + rng.integers(1, classes, len(y))) % classes
    low, high = spec.label.minimum, spec.label.maximum
    shift = rng.uniform(*_SHIFT, len(y)) * y.std() * rng.choice([-1.0, 1.0], len(y))
    moved = np.where((y + shift < low) | (y + shift > high), y - shift, y + shift)
    farther = np.where(y - low > high - y, low, high)
    return np.where((moved < low) | (moved > high), farther, moved)
