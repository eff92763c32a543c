"""Which trusted rows travel with a bundle: golden vectors that prove it whole, reference rows that explain verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.reference import MAX_REFERENCE_ROWS
from training.snapshot import Snapshot
from training.wrong_labels import wrong_labels

__all__ = ["golden_samples", "reference_rows"]

_GOLDEN_ROWS = 256
_GOLDEN_BYTES = 8 << 20
_REFERENCE_BYTES = 32 << 20
"""Large images: rows are given up before a bundle grows by more than this."""


def golden_samples(snapshot: Snapshot, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Encoded (x, y): up to 256 trusted rows of all labels, then the same rows with a wrong label.

    Both halves are needed: a graph that holds nothing, or everything, must fail the replay.
    """
    rows = _spread(snapshot.y, _fitting(snapshot.x, _GOLDEN_ROWS, _GOLDEN_BYTES), rng)
    x, y = snapshot.x[rows], snapshot.y[rows]
    return np.concatenate([x, x]), np.concatenate([y, wrong_labels(y, snapshot.spec, rng)])


def reference_rows(snapshot: Snapshot, rng: np.random.Generator) -> NDArray[np.int64]:
    """Up to 2000 rows of all labels, ascending, among which `depois explain` seeks neighbours."""
    return _spread(snapshot.y, _fitting(snapshot.x, MAX_REFERENCE_ROWS, _REFERENCE_BYTES), rng)


def _fitting(x: NDArray[Any], rows: int, size: int) -> int:
    return max(1, min(len(x), rows, size // (x.nbytes // len(x))))


def _spread(y: NDArray[Any], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` rows at even distances in the order of their labels, ties in random order: every label that fits."""
    order = np.lexsort((rng.random(len(y)), y))
    places = np.linspace(0, len(y) - 1, count).round().astype(np.int64)
    return np.sort(order[places])
