from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from training.boundary import Boundary, Z, fit_boundary


@given(st.floats(-50, 50), st.floats(0.01, 20), st.floats(-4, 4))
def test_threshold_is_the_normal_quantile_of_the_z_score(mean: float, std: float, z: float) -> None:
    assert Boundary(mean, std, z).threshold == pytest.approx(norm(mean, std).ppf(norm.cdf(z)), rel=1e-9, abs=1e-9)


def test_the_printed_z_is_one_sided_two_and_a_half_per_cent() -> None:
    assert norm.cdf(Z) == pytest.approx(0.025, abs=1e-4)
    values = np.random.default_rng(5).normal(3.0, 2.0, 40_000)
    assert fit_boundary(values).poisoned(values).mean() == pytest.approx(0.025, abs=0.003)


def test_the_published_example_is_reproduced() -> None:
    assert Boundary(-0.5726, 0.2109).threshold == pytest.approx(-0.9859, abs=2e-4)


def test_only_values_below_the_threshold_are_poisoned() -> None:
    boundary = Boundary(1.0, 1.0, -1.0)
    assert boundary.poisoned(np.array([-0.001, 0.0, 0.001])).tolist() == [True, False, False]


def test_mean_and_spread_are_those_of_the_values() -> None:
    fitted = fit_boundary(np.array([1.0, 2.0, 6.0]), z=-1.0)
    assert (fitted.mean, fitted.z) == (3.0, -1.0)
    assert fitted.std == pytest.approx(np.sqrt(14 / 3))


def test_a_boundary_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="no critic values"):
        fit_boundary(np.array([]))
