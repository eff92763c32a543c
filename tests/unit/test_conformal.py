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
    rows_needed,
    smooth_ranks,
)

scores = arrays(np.float64, st.integers(5, 60), elements=st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.0]))


def brute_force(calibration: np.ndarray, score: float) -> float:
    return (1 + sum(s >= score for s in calibration)) / (len(calibration) + 1)


@given(scores, scores)
def test_p_values_lie_within_one_rank_below_the_conformal_ones(calibration: np.ndarray, new: np.ndarray) -> None:
    new = np.concatenate([new, calibration[:3]])
    exact = np.array([brute_force(calibration, s) for s in new])
    found = smooth_ranks(calibration).p_values(new)
    assert np.all(found <= exact + 1e-12)
    assert np.all(found >= np.maximum(exact - 1 / (len(calibration) + 1), 1 / (len(calibration) + 1)) - 1e-12)


def test_the_inverse_of_p_falls_evenly_between_two_scores_and_p_counts_all_of_a_tie() -> None:
    ranks = smooth_ranks(np.array([1.0, 2.0, 2.0, 4.0]))
    found = ranks.p_values(np.array([9.0, 4.0, 3.0, 2.0, 1.5, 1.0, 0.9]))
    assert found * 5 == pytest.approx([1, 1, 2 / (1 + 1 / 4), 4, 4, 4, 5])


@given(scores, scores)
def test_a_p_value_never_rises_with_the_score(calibration: np.ndarray, new: np.ndarray) -> None:
    found = smooth_ranks(calibration).p_values(np.sort(np.concatenate([new, calibration])))
    assert np.all(np.diff(found) <= 1e-12)


@pytest.mark.parametrize("n", [19, 32])
def test_p_values_of_exchangeable_samples_are_uniform(n: int) -> None:
    """20,000 splits of exponential scores, four standard errors; a whole rank or p itself made linear would fail."""
    rng = np.random.default_rng(11)
    splits = rng.exponential(size=(20_000, n + 1))
    p = np.array([smooth_ranks(split[1:]).p_values(split[:1])[0] for split in splits])
    for alpha in (1.5 / (n + 1), 2.5 / (n + 1), 0.2, 0.5):
        assert np.mean(p <= alpha) == pytest.approx(alpha, abs=4 * (alpha / len(p)) ** 0.5)


@pytest.mark.parametrize(("alpha", "rows"), [(0.01, 99), (0.05, 19), (0.02, 49), (0.1, 9), (0.001, 999), (0.3, 3)])
def test_rows_needed_are_the_least_that_reach_alpha(alpha: float, rows: int) -> None:
    assert rows_needed(alpha) == rows
    assert 1 / (rows + 1) <= alpha < 1 / rows


@given(st.floats(1e-9, 0.999))
def test_rows_needed_reach_alpha_and_one_fewer_does_not(alpha: float) -> None:
    rows = rows_needed(alpha)
    assert 1 / (rows + 1) <= alpha
    assert rows == 0 or 1 / rows > alpha


@given(st.integers(1, 5000))
def test_rows_needed_agree_with_the_least_p_value_where_floats_round(n: int) -> None:
    assert rows_needed(1 / (n + 1)) == n


@pytest.mark.parametrize(("alpha", "n"), [(0.01, 99), (0.01, 400), (0.05, 61), (0.01, 20_000), (0.5, 30), (0.29, 99)])
def test_band_is_the_beta_interval(alpha: float, n: int) -> None:
    found = band(alpha, [n])
    exact = stats.beta(alpha * (n + 1), (1 - alpha) * (n + 1)).ppf([0.05, 0.95])
    assert (found.low, found.high) == pytest.approx(exact, rel=0.04)
    assert not found.extrapolated


@pytest.mark.parametrize("alpha", [0.02, 0.0167])
def test_band_is_what_a_simulation_gives(alpha: float) -> None:
    """The share of a large exponential population that lies beyond p = α; at 3 ranks and between 2 and 3."""
    rng = np.random.default_rng(3)
    grid = np.linspace(0, 30, 20_001)
    rates = []
    for _ in range(4000):
        p = smooth_ranks(rng.exponential(size=149)).p_values(grid)
        rates.append(math.exp(-grid[np.flatnonzero(p <= alpha)[0]]))
    found = band(alpha, [149])
    assert np.quantile(rates, [0.05, 0.95]) == pytest.approx([found.low, found.high], rel=0.08)
    assert np.mean(rates) == pytest.approx(alpha, rel=0.05)


def test_band_of_61_rows_at_one_percent_is_what_the_snapshot_page_says() -> None:
    found = band(0.01, [61])
    assert found.extrapolated
    assert (found.low, found.high) == pytest.approx((0.002, 0.04), rel=0.2)


def test_extrapolated_band_holds_exponential_tails() -> None:
    """Fit and threshold by hand for 4000 calibrations of 61 exponentials: the true rate is exp(−threshold)."""
    rng = np.random.default_rng(4)
    ordered = np.sort(rng.exponential(size=(4000, 61)), axis=1)
    start, excess = ordered[:, 48], (ordered[:, 49:] - ordered[:, 48:49]).mean(axis=1)
    rate = np.exp(-(start + excess * math.log((13 / 62) / 0.01)))
    found = band(0.01, [61])
    assert np.quantile(rate, [0.05, 0.95]) == pytest.approx([found.low, found.high], rel=0.08)


def test_the_band_of_many_groups_is_narrower() -> None:
    alone, ten = band(0.01, [400]), band(0.01, [400] * 10)
    assert alone.low < ten.low < ten.high < alone.high


def test_band_of_hardly_any_rows_says_nothing() -> None:
    assert band(0.01, [3]).high > 0.9


@given(scores)
def test_smooth_p_is_the_rank_up_to_the_quantile_and_falls_above_it(calibration: np.ndarray) -> None:
    ranks = smooth_ranks(calibration)
    start = np.sort(calibration)[math.ceil(0.8 * len(calibration)) - 1]
    assert ranks.start == start
    body = calibration[calibration <= start]
    assert np.exp(-ranks.surprise(body)) == pytest.approx([brute_force(calibration, score) for score in body])
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
