from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from training.defences.scan import decompose, poisoned_rows_by_class, standing_out, untangle, whitened

SPREAD = np.array([[1.0, 0.4, 0.0], [0.4, 2.0, 0.0], [0.0, 0.0, 0.25]])


def classes(n: int, seed: int, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(means)), n)
    return means[y] + rng.multivariate_normal(np.zeros(3), SPREAD, len(y)), y


def test_with_many_rows_a_class_the_rest_is_what_discriminant_analysis_calls_the_covariance() -> None:
    x, y = classes(400, 0, np.random.default_rng(1).normal(0, 5, (8, 3)))
    between, within = decompose(x, y)
    model = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True).fit(x, y)
    assert np.allclose(within, model.covariance_, rtol=0.02, atol=0.01)
    assert np.allclose(between, np.cov(model.means_.T, bias=True), rtol=0.02, atol=0.05)


def test_class_means_shrink_where_rows_are_few_and_noisy() -> None:
    """Maximum likelihood finds that means vary less than the means of three rows do."""
    x, y = classes(3, 2, np.random.default_rng(3).normal(0, 0.5, (300, 3)))
    between, within = decompose(x, y, rounds=300)
    plain = np.cov(np.stack([x[y == label].mean(0) for label in range(300)]).T, bias=True)
    assert np.trace(between) < 0.75 * np.trace(plain)
    assert np.allclose(within, SPREAD, atol=0.35)


def test_whitened_features_have_the_identity_for_their_covariance() -> None:
    x, _ = classes(2000, 4, np.zeros((1, 3)))
    assert np.allclose(np.cov(whitened(x, SPREAD).T), np.eye(3), atol=0.1)


def test_two_groups_are_those_of_k_means() -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(0, 1, (70, 4)), rng.normal(4, 1, (30, 4))])
    found = untangle(x)
    rival = KMeans(2, n_init=10, random_state=0).fit(x)
    gain = ((x - x.mean(0)) ** 2).sum() - rival.inertia_
    assert found.ratio == pytest.approx((gain - 100) / np.sqrt(200))
    assert np.array_equal(found.second, rival.labels_ == 1) or np.array_equal(found.second, rival.labels_ == 0)


def test_rows_that_are_all_alike_are_one_group() -> None:
    found = untangle(np.ones((8, 3)))
    assert not found.second.any()
    assert found.ratio == pytest.approx(-2)


def test_a_class_stands_out_by_robust_deviations_above_the_median() -> None:
    """Median 3 and median deviation 1: the bound lies at 3 + e · 1.4826 = 7.03."""
    assert standing_out(np.array([2.0, 3.0, 4.0, 7.0, 1.0])).tolist() == [False] * 5
    assert standing_out(np.array([2.0, 3.0, 4.0, 7.1, 1.0])).tolist() == [False, False, False, True, False]


def test_the_group_that_clean_rows_avoid_is_the_poison() -> None:
    """A tenth of class 2, planted beside it. Of six classes another one may stand out by chance: e is a low limit."""
    means = np.random.default_rng(6).normal(0, 6, (6, 3))
    clean, clean_y = classes(30, 7, means)
    x, y = classes(100, 8, means)
    planted = np.flatnonzero(y == 2)[:10]
    x[planted] += [0, 0, 8]
    found = poisoned_rows_by_class(x, y, clean, clean_y)
    assert np.array_equal(np.flatnonzero(found & (y == 2)), planted)
    assert len(np.unique(y[found])) <= 2


def test_clean_classes_are_left_alone() -> None:
    means = np.random.default_rng(9).normal(0, 6, (6, 3))
    found = poisoned_rows_by_class(*classes(100, 10, means), *classes(30, 11, means))
    assert found.mean() < 0.2
