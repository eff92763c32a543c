"""The deterministic split of a snapshot into folds: twins together, labels alike in every fold."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOLDS", "assign_folds", "row_keys"]

FOLDS = 10
"""Folds of the deterministic split. Identical inputs share a fold: no row is judged by a model that saw its twin."""

_RARE = 4
_FIRST_TRAINED = 2
"""A label with fewer than `_RARE` distinct inputs is dealt from fold 2 on, without wrapping: otherwise both inputs of a
label could land in the two folds that are held out (`training.folds`), or in one cross-fitted fold, and nobody would
ever learn it."""


def assign_folds(x: NDArray[Any], y: NDArray[Any], *, seed: int) -> NDArray[np.int8]:
    """The fold of each row: int8 (n,) in [0, FOLDS).

    `x` (n, …) and `y` (n,) are encoded as `guard.spec` says: integer `y` are classes, floating `y` numbers. The fold
    depends on the row's content, the set of all rows and `seed`, never on the order of rows. Rows with identical `x`
    share a fold. Per class (for numbers: per ten neighbouring labels) folds differ by at most one distinct input.
    """
    keys, group = np.unique(row_keys(x, seed=seed), return_inverse=True)
    label = _group_labels(y, group, len(keys))
    stratum = label if y.dtype.kind in "iu" else _rank_blocks(label)
    order = np.argsort(stratum, kind="stable")  # np.unique has sorted the keys: a random order fixed by the seed
    fold = np.empty(len(keys), np.int8)
    fold[order] = _deal(stratum[order])
    return fold[group]


def row_keys(x: NDArray[Any], *, seed: int = 0) -> NDArray[np.bytes_]:
    """A 16-byte key per row of `x` (n, …), equal for identical rows (NaN equals NaN, −0 equals 0). Not for secrets."""
    rows = np.ascontiguousarray(_canonical(x)).reshape(len(x), -1)
    salt = int(seed).to_bytes(8, "little", signed=True)
    digests = [hashlib.blake2b(row.data, digest_size=16, key=salt).hexdigest() for row in rows.view(np.uint8)]
    return np.array(digests, dtype="S32")


def _canonical(x: NDArray[Any]) -> NDArray[Any]:
    if x.dtype.kind != "f":
        return x
    return np.where(np.isnan(x), np.nan, x + 0.0)


def _group_labels(y: NDArray[Any], group: NDArray[np.intp], groups: int) -> NDArray[Any]:
    """The smallest label of each group: twins may contradict each other, and row order must not decide."""
    order = np.lexsort((y, group))
    first = np.searchsorted(group[order], np.arange(groups))
    smallest: NDArray[Any] = y[order][first]
    return smallest


def _rank_blocks(label: NDArray[np.float64]) -> NDArray[np.int64]:
    block = np.empty(len(label), np.int64)
    block[np.argsort(label, kind="stable")] = np.arange(len(label)) // FOLDS
    return block


def _deal(stratum: NDArray[Any]) -> NDArray[np.int64]:
    """Deals sorted strata to the folds like cards, each going on where the one before stopped."""
    _, start, count = np.unique(stratum, return_index=True, return_counts=True)
    first = np.where(count < _RARE, _FIRST_TRAINED + start % (FOLDS - _FIRST_TRAINED - _RARE + 2), start)
    within = np.arange(len(stratum)) - np.repeat(start, count)
    return (np.repeat(first, count) + within) % FOLDS
