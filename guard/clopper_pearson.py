"""Exact bounds on a probability from a count (Clopper and Pearson, 1934), with numpy alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

__all__ = ["lower_bound", "upper_bound"]

_HALVINGS = 44


def upper_bound(hits: int, trials: int, miss: float) -> float:
    """The u in (0, 1] with P(Binomial(`trials`, u) ≤ `hits`) = `miss`: a larger one shows so few hits more rarely.

    It is the 1 − `miss` quantile of Beta(hits + 1, trials − hits). 1 where every trial is a hit. Cost: O(hits).
    """
    if hits >= trials:
        return 1.0
    return _crossing(_log_at_most(hits, trials), math.log(miss))


def lower_bound(hits: int, trials: int, miss: float) -> float:
    """The l in [0, 1) with P(Binomial(`trials`, l) ≥ `hits`) = `miss`, at least 1e-9: a smaller one shows fewer hits.

    It is the `miss` quantile of Beta(hits, trials − hits + 1). 0 where no trial is a hit. Cost: O(hits).
    """
    if hits <= 0:
        return 0.0
    return _crossing(_log_at_most(hits - 1, trials), math.log1p(-miss))


def _log_at_most(hits: int, trials: int) -> Callable[[float], float]:
    """The function p ↦ log P(Binomial(`trials`, p) ≤ `hits`), which falls in p."""
    counts = np.arange(hits + 1)
    log_ways = np.concatenate([[0.0], np.cumsum(np.log((trials - counts[1:] + 1) / counts[1:]))])

    def log_probability(p: float) -> float:
        terms = log_ways + counts * math.log(p) + (trials - counts) * math.log1p(-p)
        top = float(terms.max())
        return top + math.log(float(np.exp(terms - top).sum()))

    return log_probability


def _crossing(falling: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return high
