from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from tests.unit.defence_tester import NUMBER, DefenceTester, plane
from training.defences.defence import Evidence, Ranking
from training.defences.trim import TRIM, best_fit, trimmed_fit


class TestTrim(DefenceTester):
    defence = TRIM
    least_auroc = 0.99

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        (x, y), truth = plane(300, 1), np.arange(300) < 50
        y[truth] = np.where(x[truth, 0] > 0, -4, 6)
        return Evidence(x, y, *plane(30, 2), *plane(400, 3), NUMBER, 0, 1 / 6), truth

    def test_flags_as_many_rows_as_it_is_told(self, evidence: Evidence, ranking: Ranking) -> None:
        assert ranking.flagged.sum() == 50
        told = TRIM.run(replace(evidence, poison_share=0.3))
        assert told.flagged.sum() == 90
        assert np.array_equal(TRIM.run(replace(evidence, poison_share=None)).flagged, ranking.flagged)

    def test_flags_the_rows_of_largest_suspicion(self, ranking: Ranking) -> None:
        assert ranking.suspicion[ranking.flagged].min() >= ranking.suspicion[~ranking.flagged].max()

    def test_the_first_rows_are_no_favourites(self, planted: tuple[Evidence, np.ndarray]) -> None:
        """Poison stands first here."""
        assert TRIM.run(planted[0]).flagged[planted[1]].mean() > 0.95


def loss_of(z: np.ndarray, t: np.ndarray, rows: tuple[int, ...]) -> float:
    """By normal equations with a free intercept."""
    z, t = z[list(rows)], t[list(rows)]
    design = np.column_stack([z, np.ones(len(z))])
    weights = np.linalg.solve(design.T @ design + np.diag([1.0] * z.shape[1] + [0]), design.T @ t)
    return (((design @ weights - t) ** 2).sum() + (weights[:-1] ** 2).sum()) / len(rows)


@pytest.mark.parametrize("seed", range(6))
def test_finds_the_best_of_all_subsets_of_eight_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(8, 1)) * 3
    t = 2 * z[:, 0] + rng.normal(0, 0.05, 8)
    t[:2] += rng.choice([-1, 1], 2) * 9
    fit = best_fit(z, t, 6, 1.0, rng)
    losses = {rows: loss_of(z, t, rows) for rows in combinations(range(8), 6)}
    best = min(losses, key=losses.__getitem__)
    assert tuple(sorted(fit.kept.tolist())) == best == (2, 3, 4, 5, 6, 7)
    assert np.isclose(fit.losses[-1], losses[best])


@settings(deadline=None)
@given(st.integers(0, 999))
def test_the_loss_never_rises_and_the_end_is_a_fixed_point(seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, t = rng.normal(size=(40, 3)), rng.normal(size=40)
    fit = trimmed_fit(z, t, rng.permutation(40)[:30], 1.0)
    assert (np.diff(fit.losses) <= 1e-12).all()
    model = Ridge(alpha=1.0).fit(z[fit.kept], t[fit.kept])
    assert np.allclose(fit.residuals(z, t), (model.predict(z) - t) ** 2)
    assert fit.losses[-1] - loss_of(z, t, tuple(np.argsort(fit.residuals(z, t))[:30])) < 1e-4


def test_a_line_with_gross_outliers_is_recovered() -> None:
    z = np.linspace(-3, 3, 60)[:, np.newaxis]
    t = 2 * z[:, 0]
    t[::6] = 40
    fit = best_fit(z, t, 50, 1.0, np.random.default_rng(0))
    assert set(range(60)) - set(fit.kept.tolist()) == set(range(0, 60, 6))
    assert np.isclose(fit.model.coef_[0], 2, rtol=0.01)


def test_where_starts_lead_to_different_ends_the_order_of_rows_still_tells_nothing() -> None:
    """Noise alone: which subset is found depends on the start."""
    rng = np.random.default_rng(4)
    z, t = rng.normal(size=(30, 2)), rng.standard_cauchy(30)
    order = rng.permutation(30)
    ends = {tuple(np.sort(trimmed_fit(z, t, rng.permutation(30)[:16], 1.0).kept)) for _ in range(20)}
    assert len(ends) > 1
    for seed in range(5):
        there, here = (best_fit(a, b, 16, 1.0, np.random.default_rng(seed)) for a, b in ((z, t), (z[order], t[order])))
        assert sorted(order[here.kept]) == sorted(there.kept)
