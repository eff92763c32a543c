"""Near-duplicates: rows that say nothing new, or that contradict what is already believed at the same place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.spec import CategoryColumn, ImageInput, InputSpec, NumberColumn

__all__ = ["Flat", "flatten", "near_twins"]

Flat = NDArray[np.float32]

_CHUNK = 512
_ROUNDING = 1e-5
"""Of |a|² + |b|²: the error of a squared distance in 32 bits. What lies that near the radius is counted in 64."""


def flatten(spec: InputSpec, trusted: NDArray[Any], x: NDArray[Any]) -> Flat:
    """Encoded rows `x` (n, …) as points (n, d) whose Euclidean distance is the root mean square over columns or pixels.

    Numbers count in standard deviations of the `trusted` rows, another category or a gap on one side as 1, pixels as
    a share of white.
    """
    if isinstance(spec.input, ImageInput):
        flat = x.reshape(len(x), -1).astype(np.float32)
        return np.asarray(flat / np.float32(255 * np.sqrt(flat.shape[1])), np.float32)
    parts = []
    for index, column in enumerate(spec.input.columns):
        values, known = x[:, index], np.isnan(x[:, index])
        if isinstance(column, NumberColumn):
            parts += [np.where(known, 0, values - _middle(trusted[:, index])) / _spread(trusted[:, index]), known]
        else:
            choices = len(column.values) if isinstance(column, CategoryColumn) else 2
            parts += [(values == choice) * np.sqrt(0.5) for choice in range(choices)] + [known * np.sqrt(0.5)]
    return np.asarray(np.column_stack(parts) / np.sqrt(len(spec.input.columns)), np.float32)


def _middle(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0


def _spread(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.std()) or 1.0 if len(known) else 1.0


def near_twins(trusted: Flat, new: Flat, radius: float) -> NDArray[np.int64]:
    """Of each `new` row (m, d) in turn a row at most `radius` away among those kept before it; −1 keeps it, (m,).

    Indices below len(`trusted`) are trusted rows, then come the new ones. Cost: m (n + m) d.
    """
    found = np.full(len(new), -1, np.int64)
    kept, index = trusted, np.arange(len(trusted))
    for start in range(0, len(new), _CHUNK):
        chunk = new[start : start + _CHUNK]
        twin = _first_within(chunk, kept, radius)
        found[start : start + _CHUNK] = np.where(twin >= 0, index[twin], -1)
        fresh = _keep_within(chunk, found[start : start + _CHUNK], radius, len(trusted) + start)
        kept = np.concatenate([kept, chunk[fresh]])
        index = np.concatenate([index, len(trusted) + start + fresh])
    return found


def _keep_within(chunk: Flat, found: NDArray[np.int64], radius: float, first: int) -> NDArray[np.int64]:
    """The rows of one chunk that are kept, in turn; `found` is filled in for the others."""
    fresh: list[int] = []
    for row in np.flatnonzero(found < 0).tolist():
        twin = _first_within(chunk[row : row + 1], chunk[fresh], radius)[0]
        if twin >= 0:
            found[row] = first + fresh[twin]
        else:
            fresh.append(row)
    return np.array(fresh, np.int64)


def _first_within(rows: Flat, kept: Flat, radius: float) -> NDArray[np.int64]:
    """Of each row the first of `kept` at most `radius` away, or −1."""
    if not len(kept):
        return np.full(len(rows), -1, np.int64)
    sizes, others = (rows**2).sum(axis=1), (kept**2).sum(axis=1)
    squared = sizes[:, None] + others - 2 * rows @ kept.T
    slack = _ROUNDING * (sizes[:, None] + others)
    twin = np.full(len(rows), -1, np.int64)
    for row in np.flatnonzero((squared <= radius**2 + slack).any(axis=1)).tolist():
        close = np.flatnonzero(squared[row] <= radius**2 + slack[row])
        apart = np.sqrt(((kept[close].astype(np.float64) - rows[row]) ** 2).sum(axis=1))
        if (apart <= radius).any():
            twin[row] = close[np.argmax(apart <= radius)]
    return twin
