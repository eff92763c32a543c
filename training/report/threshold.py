"""The score from which a member holds a sample when no other member speaks against it."""

from __future__ import annotations

import numpy as np

from guard.calibration import Calibration, Fusion

__all__ = ["holding_score"]

_STEPS = 4000
_REACH = 3.0


def holding_score(calibration: Calibration, fusion: Fusion, member: int) -> float | None:
    """The smallest score of `member` that is held at the fusion's α, others silent; None where no score in reach is.

    Sought between the median of its calibration scores and three of their ranges beyond the largest, for the class
    that calibrates most often (classes with enough rows are ranked apart and have thresholds of their own).
    """
    own = calibration.scores[:, member]
    low, high = float(np.median(own)), float(own.max())
    grid = np.linspace(low, high + _REACH * max(high - float(own.min()), 1e-6), _STEPS)
    scores = np.repeat(calibration.scores.min(axis=0, keepdims=True), _STEPS, axis=0)
    scores[:, member] = grid
    label = int(np.bincount(calibration.labels).argmax())
    held = fusion.judge(scores, np.full(_STEPS, label)).held
    return float(grid[held.argmax()]) if held.any() else None
