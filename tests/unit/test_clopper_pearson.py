from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from guard.clopper_pearson import lower_bound, upper_bound


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(1e-7, 0.5))
def test_the_bound_is_the_quantile_of_the_beta_distribution(trials, share, miss):
    hits = min(int(share * trials), trials - 1)
    assert upper_bound(hits, trials, miss) == pytest.approx(
        float(stats.beta.ppf(1 - miss, hits + 1, trials - hits)), rel=1e-6
    )


@given(st.integers(1, 3000), st.floats(0, 1), st.floats(1e-7, 0.5))
def test_the_lower_bound_is_the_other_quantile(trials, share, miss):
    hits = 1 + min(int(share * trials), trials - 1)
    assert lower_bound(hits, trials, miss) == pytest.approx(
        float(stats.beta.ppf(miss, hits, trials - hits + 1)), rel=1e-5
    )
    assert lower_bound(0, trials, miss) == 0.0


def test_where_every_trial_is_a_hit_nothing_is_excluded():
    assert upper_bound(5, 5, 0.01) == 1.0
