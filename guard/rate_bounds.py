"""How often clean samples really get a p-value up to t: simultaneous bounds, given one calibration.

A p-value is valid on average over calibrations. All samples of a stream are judged by one and the same calibration, and
for it the share of clean samples with p ≤ t is a fixed number F(t), which may be larger than t. Whoever adds up small
p-values over a million records must know how much larger.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from guard.calibration import Fusion
from guard.clopper_pearson import lower_bound, upper_bound
from guard.conformal import rows_needed

__all__ = ["rate_bounds", "resolution"]

_WHOLE = 1e-9
"""A rank this close to a whole one is that rank: t (n + 1) is rounded in floating point."""


def resolution(fusion: Fusion) -> float:
    """The least p-value that ranks alone decide, in every group of the calibration: 1/(n + 1) of the smallest one.

    Where α is extrapolated, p-values below that of the tail's beginning come from a fitted exponential; nothing bounds
    how wrong it is, and the tail's beginning is the least that is told apart.
    """
    if min(fusion.group_sizes) >= rows_needed(fusion.alpha):
        return 1 / (min(fusion.group_sizes) + 1)
    return max(math.exp(-ranks.surprise_at_start) for by_member in fusion.groups for ranks in by_member)


def rate_bounds(
    fusion: Fusion, thresholds: Sequence[float], miss: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(J,) lower and (J,) upper bounds of F at `thresholds` (J,), each at least `resolution(fusion)`.

    They hold together, at all thresholds, in every group of the calibration and so for every mixture of groups, for a
    share 1 − `miss` of calibrations. In a group of n rows, with j = t (n + 1), F(t) ~ Beta(j, n + 1 − j) at whole j and
    lies between those of the ranks beside it elsewhere (`SmoothRanks.p_values`); its quantiles are those of Clopper and
    Pearson. That the fused p-value behaves as one of ranks is what `Fusion` is built for, and measured, not proved.
    """
    sizes = fusion.group_sizes
    each = miss / (2 * len(thresholds) * len(sizes))
    lower, upper = np.ones(len(thresholds)), np.zeros(len(thresholds))
    for n in set(sizes):
        for index, t in enumerate(thresholds):
            rank = t * (n + 1)
            above, below = math.ceil(rank - _WHOLE), math.floor(rank + _WHOLE)
            upper[index] = max(upper[index], upper_bound(above - 1, n, each))
            lower[index] = min(lower[index], lower_bound(below, n, each))
    return lower, upper
