from __future__ import annotations

import numpy as np
import pytest

from guard.calibration import Calibration, fuse
from guard.rate_bounds import rate_bounds, resolution


def calibrated(rows, classes, seed, alpha=0.01):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    scores = rng.exponential(size=(rows, 1))
    return fuse(Calibration(scores, labels, np.ones(1), np.zeros(3)), alpha)


@pytest.mark.parametrize(("rows", "classes"), [(400, 1), (2000, 4)])
def test_bounds_hold_for_all_thresholds_and_groups_at_once(rows, classes):
    """The true rates are known here: scores are exponential. 100 calibrations, of which 20 % may miss."""
    fusion = calibrated(rows, classes, 0)
    thresholds = (resolution(fusion), 0.02, 0.1, 0.3)
    lower, upper = rate_bounds(fusion, thresholds, 0.2)
    missed = 0
    for seed in range(100):
        one = calibrated(rows, classes, 1000 + seed)
        rates = np.array([true_rates(one, label, thresholds) for label in range(classes)])
        missed += bool((rates > upper).any() or (rates < lower).any())
    assert missed <= 20
    assert missed >= 1, "bounds that are never missed are too wide"


def true_rates(fusion, label, thresholds):
    """P(p ≤ t) for exponential scores: e^−s at the least score s whose p-value is at most t."""
    scores = np.linspace(0, 16, 8001)
    p = fusion.judge(scores[:, None], np.full(len(scores), label)).p_values
    return [np.exp(-scores[np.argmax(p <= t * (1 + 1e-9))]) for t in thresholds]


def test_an_extrapolated_tail_is_not_resolved():
    assert resolution(calibrated(60, 1, 0)) == pytest.approx(13 / 61)
    assert resolution(calibrated(60, 1, 0, alpha=0.1)) == pytest.approx(1 / 61)
