from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from training.experiments.detection import recall_at
from training.experiments.false_quarantine import predictive_band


@pytest.mark.parametrize(("rows", "clean"), [(600, 1197), (245, 1215), (500, 10_000)])
def test_the_predictive_band_is_the_beta_binomial_one(rows: int, clean: int) -> None:
    """One group, α (n + 1) ≥ 1; simulated quantiles may be one count off."""
    low, high = predictive_band([rows], clean)
    exact = betabinom(clean, 0.01 * (rows + 1), 0.99 * (rows + 1))
    assert abs(low - exact.ppf(0.05)) <= max(1, 0.01 * clean**0.5)
    assert abs(high - exact.ppf(0.95)) <= max(1, 0.02 * clean**0.5)


def test_recall_at_a_rate_by_hand() -> None:
    clean = np.arange(200.0)
    assert recall_at(0.01, clean, np.array([196.5, 197.0, 197.5, 300.0])) == 0.5
    assert recall_at(0.001, clean, np.array([198.5, 199.0, 199.5])) == pytest.approx(1 / 3)


@given(st.integers(50, 300), st.integers(0, 5), st.sampled_from([0.01, 0.05]))
def test_the_threshold_holds_no_more_clean_rows_than_the_rate(n: int, seed: int, rate: float) -> None:
    """Scored on the clean rows themselves, recall is the false-alarm rate of the threshold; ties lower it."""
    clean = np.random.default_rng(seed).integers(0, 40, n).astype(float)
    assert recall_at(rate, clean, clean) <= rate
