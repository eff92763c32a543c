"""Mean, spread and number of every figure over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.experiments.experiment import Row

__all__ = ["mean_and_spread"]


def mean_and_spread(rows: Sequence[Row]) -> Row:
    """For every figure that is a number in all rows: mean, standard deviation (n − 1) and range; groups are kept."""
    found: Row = {}
    for name in rows[0]:
        values: list[Any] = [row.get(name) for row in rows]
        if all(isinstance(value, dict) for value in values):
            found |= {name: inner} if (inner := mean_and_spread(values)) else {}
        elif all(_is_number(value) for value in values):
            found[name] = _spread(np.array(values, dtype=np.float64))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spread(values: NDArray[np.float64]) -> Row:
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "min": float(values.min()),
        "max": float(values.max()),
        "n": len(values),
    }
