from __future__ import annotations

import pytest
from scipy.stats import betabinom

from training.experiments.false_quarantine import predictive_band


@pytest.mark.parametrize(("rows", "clean"), [(600, 1197), (245, 1215), (500, 10_000)])
def test_the_predictive_band_is_the_beta_binomial_one(rows: int, clean: int) -> None:
    """One group, α (n + 1) ≥ 1; simulated quantiles may be one count off."""
    low, high = predictive_band([rows], clean)
    exact = betabinom(clean, 0.01 * (rows + 1), 0.99 * (rows + 1))
    assert abs(low - exact.ppf(0.05)) <= max(1, 0.01 * clean**0.5)
    assert abs(high - exact.ppf(0.95)) <= max(1, 0.02 * clean**0.5)
