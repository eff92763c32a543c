"""Mean, spread and number of every figure over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.experiments.experiment import Row

__all__ = ["mean_and_spread"]


def mean_and_spread(rows: Sequence[Row]) -> Row:
    """For every figure that is a number in all rows: mean, standard deviation (n − 1) and range."""
    names = [name for name in rows[0] if all(_is_number(row.get(name)) for row in rows)]
    return {name: _spread(np.array([row[name] for row in rows], dtype=np.float64)) for name in names}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spread(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Row:
    return {
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
        "min": float(values.min()),
        "max": float(values.max()),
        "n": len(values),
    }
