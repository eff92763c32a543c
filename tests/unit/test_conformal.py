from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from guard.conformal import (
    band,
    left_out_surprise,
    mixture_band,
    p_values,
    rank_at,
    rows_needed,
    smooth_ranks,
)

scores = arrays(np.float64, st.integers(5, 60), elements=st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.0]))


def brute_force(calibration: np.ndarray, score: float) -> float:
    return (1 + sum(s >= score for s in calibration)) / (len(calibration) + 1)


@given(scores, scores)
def test_p_values_are_their_definition(calibration: np.ndarray, new: np.ndarray) -> None:
    new = np.concatenate([new, calibration[:3]])
    assert p_values(calibration, new).tolist() == [brute_force(calibration, s) for s in new]


def test_p_values_of_exchangeable_samples_are_uniform() -> None:
    rng = np.random.default_rng(11)
    splits = rng.gamma(2.0, size=(2000, 100))
    p = np.array([p_values(split[1:], split[:1])[0] for split in splits])
    jitter = rng.uniform(0, 1 / 100, len(p))
    assert stats.kstest(p - jitter, "uniform").pvalue > 0.001
    assert stats.kstest(p - jitter + 0.06, "uniform").pvalue < 0.001


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_rank_at_agrees_with_p_values_where_floats_round(k: int, n: int) -> None:
    k = min(k, n)
    assert rank_at(k / (n + 1), n) == k


@pytest.mark.parametrize(("alpha", "rows"), [(0.01, 99), (0.05, 19), (0.02, 49), (0.1, 9), (0.001, 999), (0.3, 3)])
def test_rows_needed_are_the_least_that_reach_alpha(alpha: float, rows: int) -> None:
    assert rows_needed(alpha) == rows
    assert 1 / (rows + 1) <= alpha < 1 / rows


@given(st.floats(1e-9, 0.999))
def test_rows_needed_reach_alpha_and_one_fewer_does_not(alpha: float) -> None:
    rows = rows_needed(alpha)
    assert rank_at(alpha, rows) >= 1
    assert rows == 0 or rank_at(alpha, rows - 1) < 1


@pytest.mark.parametrize(("alpha", "n"), [(0.01, 99), (0.01, 400), (0.05, 61), (0.01, 20_000), (0.5, 30), (0.29, 99)])
def test_band_is_the_beta_interval(alpha: float, n: int) -> None:
    k = rank_at(alpha, n)
    found = band(alpha, n)
    assert (found.low, found.high) == pytest.approx(stats.beta(k, n + 1 - k).ppf([0.05, 0.95]), rel=1e-7)
    assert not found.extrapolated


def test_band_is_what_a_simulation_gives() -> None:
    rng = np.random.default_rng(3)
    thresholds = np.sort(rng.uniform(size=(20_000, 149)), axis=1)[:, -rank_at(0.02, 149)]
    found = band(0.02, 149)
    assert np.quantile(1 - thresholds, [0.05, 0.95]) == pytest.approx([found.low, found.high], rel=0.05)


def test_band_of_61_rows_at_one_percent_is_what_the_snapshot_page_says() -> None:
    found = band(0.01, 61)
    assert found.extrapolated
    assert (found.low, found.high) == pytest.approx((0.002, 0.04), rel=0.2)


def test_extrapolated_band_holds_exponential_tails() -> None:
    """Fit and threshold by hand for 4000 calibrations of 61 exponentials: the true rate is exp(−threshold)."""
    rng = np.random.default_rng(4)
    ordered = np.sort(rng.exponential(size=(4000, 61)), axis=1)
    start, excess = ordered[:, 48], (ordered[:, 49:] - ordered[:, 48:49]).mean(axis=1)
    rate = np.exp(-(start + excess * math.log((13 / 62) / 0.01)))
    found = band(0.01, 61)
    assert np.quantile(rate, [0.05, 0.95]) == pytest.approx([found.low, found.high], rel=0.08)


def test_mixture_band_of_one_group_is_its_band_and_of_many_is_narrower() -> None:
    alone, mixed = band(0.01, 400), mixture_band(0.01, [400])
    assert (mixed.low, mixed.high) == pytest.approx((alone.low, alone.high), rel=0.03)
    ten = mixture_band(0.01, [400] * 10)
    assert alone.low < ten.low < ten.high < alone.high


def test_band_of_hardly_any_rows_says_nothing() -> None:
    assert band(0.01, 3).high > 0.9


@given(scores)
def test_smooth_p_is_the_rank_up_to_the_quantile_and_falls_above_it(calibration: np.ndarray) -> None:
    ranks = smooth_ranks(calibration)
    start = np.sort(calibration)[math.ceil(0.8 * len(calibration)) - 1]
    assert ranks.start == start
    body = calibration[calibration <= start]
    assert np.exp(-ranks.surprise(body)) == pytest.approx(p_values(calibration, body))
    excess = calibration[calibration > start] - start
    if len(excess):
        scale = excess.mean()
        expected = (len(excess) + 1) / (len(calibration) + 1) * math.exp(-2.0)
        assert math.exp(-ranks.surprise(np.array([start + 2 * scale]))[0]) == pytest.approx(expected, rel=1e-3)


@given(scores, scores)
def test_surprise_never_falls_as_the_score_rises(calibration: np.ndarray, new: np.ndarray) -> None:
    found = smooth_ranks(calibration).surprise(np.sort(np.concatenate([new, calibration])))
    assert np.all(np.diff(found) >= 0)
    assert np.all(found >= 0)


def test_constant_scores_have_no_tail() -> None:
    ranks = smooth_ranks(np.full(50, 3.0))
    assert math.isinf(ranks.scale)
    assert np.exp(-ranks.surprise(np.array([2.0, 3.0, 4.0, 1e30]))) == pytest.approx([1, 1, 1 / 51, 1 / 51])
    assert left_out_surprise(np.full(50, 3.0)) == pytest.approx(np.zeros(50))


@pytest.mark.parametrize("law", [stats.expon(), stats.norm()], ids=["exponential", "gaussian"])
def test_tail_lies_near_the_true_tail(law: stats.rv_continuous) -> None:
    """Median of 200 samples of 400 at the true .1 % point: an exponential is met, a Gaussian held less, not more."""
    rng = np.random.default_rng(5)
    samples = law.rvs(size=(200, 400), random_state=rng)
    point = np.array([law.isf(0.001)])
    p = np.array([math.exp(-smooth_ranks(sample).surprise(point)[0]) for sample in samples])
    if law.dist.name == "expon":
        assert np.median(p) == pytest.approx(0.001, rel=0.15)
    else:
        assert 0.001 < np.median(p) < 0.004


def test_a_qq_plot_of_the_exponential_tail_is_straight() -> None:
    rng = np.random.default_rng(6)
    ranks = smooth_ranks(rng.exponential(size=100_000))
    levels = np.geomspace(0.15, 0.002, 20)
    assert ranks.surprise(-np.log(levels)) == pytest.approx(-np.log(levels), rel=0.05)


@settings(max_examples=50)
@given(scores)
def test_left_out_surprise_is_that_of_the_other_rows(calibration: np.ndarray) -> None:
    calibration = np.round(calibration, 3)
    found = left_out_surprise(calibration)
    for row in range(len(calibration)):
        others = smooth_ranks(np.delete(calibration, row))
        expected = others.surprise(calibration[row : row + 1])[0]
        assert found[row] == pytest.approx(expected, rel=1e-6, abs=1e-9)
