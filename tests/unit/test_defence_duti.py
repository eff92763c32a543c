from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel

from guard.errors import WrongUse
from tests.unit.defence_tester import CLASSES, NUMBER, DefenceTester, blobs, plane
from training.defences.bilevel import Bilevel, SoftmaxLoss, SquaredLoss
from training.defences.defence import Evidence, Ranking
from training.defences.duti import DUTI, MOST_ROWS, follow_path, project_to_simplex, reassign_labels, shift_labels
from training.defences.kernel_features import choose_kernel, gaussian_coordinates

GAMMA, LAMBDA = 0.7, 1e-2


class TestDutiOnNumbers(DefenceTester):
    """All fifteen labels of one corner are wrong together: what the method looks for."""

    defence = DUTI
    least_auroc = 0.95

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        x, y = plane(150, 1)
        truth = (x[:, 0] > 0.4) & (x[:, 1] > 0.2)
        y[truth] -= 3
        return Evidence(x, y, *plane(40, 2), *plane(300, 3), NUMBER, 0, float(truth.mean())), truth

    def test_flags_no_more_than_it_is_told_to(self, evidence: Evidence, ranking: Ranking) -> None:
        assert ranking.flagged.sum() == 15
        assert DUTI.run(replace(evidence, poison_share=0.04)).flagged.sum() == 6
        assert DUTI.run(replace(evidence, poison_share=None)).flagged.sum() <= 25

    def test_clean_rows_of_both_kinds_are_alike(self, planted: tuple[Evidence, np.ndarray], ranking: Ranking) -> None:
        """Rows of So bend the model towards their labels, and so must rows that are only scored."""
        judged = np.sort(ranking.suspicion[~planted[1]])
        assert abs(np.searchsorted(judged, np.median(ranking.clean_suspicion)) / len(judged) - 0.5) < 0.15


class TestDutiOnClasses(DefenceTester):
    """All labels of a corner between two classes."""

    defence = DUTI
    least_auroc = 0.97

    @pytest.fixture(scope="class")
    @classmethod
    def planted(cls) -> tuple[Evidence, np.ndarray]:
        x, y = blobs(120, 1)
        truth = x[:, 0] - x[:, 1] > 0.5
        kind = np.where(truth, 1 - y, y)
        return Evidence(x, kind, *blobs(40, 2), *blobs(300, 3), CLASSES, 0, float(truth.mean())), truth

    def test_too_many_rows_are_refused(self, evidence: Evidence) -> None:
        many = np.zeros(MOST_ROWS + 1, np.int64)
        with pytest.raises(WrongUse, match="draw 4000 of the 4001 rows"):
            DUTI.run(replace(evidence, x=evidence.x[many], y=evidence.y[many]))


def numbers(seed: int = 0, n: int = 25) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, trusted = rng.uniform(-2, 2, (n, 2)), rng.uniform(-2, 2, (10, 2))
    y, answers = (np.sin(z[:, :1]) + z[:, 1:] + rng.normal(0, 0.1, (len(z), 1)) for z in (x, trusted))
    y[:3] += 3
    return x, y, trusted, answers


def squared(seed: int = 0, extra: np.ndarray | None = None) -> tuple[Bilevel, np.ndarray]:
    """25 rows; `extra` (1, 2) stands after them, with weights such that a row still counts 1/25."""
    x, y, trusted, answers = numbers(seed)
    coordinates = gaussian_coordinates(x, GAMMA, 25)
    rows = coordinates(x if extra is None else np.concatenate([x, extra]))
    share = 25 / len(rows)
    return Bilevel(rows, coordinates(trusted), answers, LAMBDA * share, SquaredLoss(), 100.0 * share), y


def classes(seed: int = 0, extra: np.ndarray | None = None) -> tuple[Bilevel, np.ndarray]:
    """The same with three classes, of which three rows have a wrong one."""
    x, y, trusted, answers = numbers(seed)
    y[:3] -= 3
    kind, truth = (np.digitize(label[:, 0], [-0.7, 0.7]) for label in (y, answers))
    kind[:3] = (kind[:3] + 1) % 3
    coordinates = gaussian_coordinates(x, GAMMA, 25)
    rows = coordinates(x if extra is None else np.concatenate([x, extra]))
    share, corners = 25 / len(rows), np.eye(3)
    problem = Bilevel(rows, coordinates(trusted), corners[truth], LAMBDA * share, SoftmaxLoss(), 100.0 * share)
    return problem, corners[kind]


def start(problem: Bilevel, own: np.ndarray) -> np.ndarray:
    return np.zeros((problem.rows.shape[1], own.shape[1]))


def test_coordinates_have_the_kernel_as_their_inner_product() -> None:
    x, _, trusted, _ = numbers()
    coordinates = gaussian_coordinates(x, GAMMA, 25)
    assert np.allclose(coordinates(x) @ coordinates(x).T, rbf_kernel(x, gamma=GAMMA))
    assert np.allclose(coordinates(trusted) @ coordinates(x).T, rbf_kernel(trusted, x, gamma=GAMMA))
    assert gaussian_coordinates(x, GAMMA, 4)(x).shape == (25, 4)


def test_the_kernel_is_the_one_that_trusted_rows_agree_with_most() -> None:
    x, y, trusted, answers = numbers()
    found = choose_kernel(x, y, trusted, answers, 25)
    model = KernelRidge(kernel="rbf", gamma=found.coordinates.gamma, alpha=25 * found.weight).fit(x, y)
    best = ((model.predict(trusted) - answers) ** 2).mean()
    for gamma in (0.1, 1.0, 10.0):
        for weight in (1e-1, 1e-3):
            other = KernelRidge(kernel="rbf", gamma=gamma / x.var(axis=0).sum(), alpha=25 * weight).fit(x, y)
            assert ((other.predict(trusted) - answers) ** 2).mean() >= best - 1e-9


def test_the_models_are_those_of_scikit_learn() -> None:
    problem, own = squared()
    x = numbers()[0]
    ridge = KernelRidge(kernel="rbf", gamma=GAMMA, alpha=25 * LAMBDA).fit(x, own)
    assert np.allclose(problem.rows @ problem.fit(own, start(problem, own)), ridge.predict(x))
    problem, own = classes()
    softmax = LogisticRegression(C=1 / (25 * LAMBDA), fit_intercept=False, tol=1e-10, max_iter=5000)
    softmax.fit(problem.rows, own.argmax(axis=1))
    expected = problem.loss.expected(problem.rows @ problem.fit(own, start(problem, own)))
    assert np.allclose(expected, softmax.predict_proba(problem.rows), atol=1e-5)


@pytest.mark.parametrize("make", [squared, classes])
def test_the_gradient_by_labels_is_that_of_finite_differences(make) -> None:
    """Of classes along directions that keep the sum of a row: mass moved from its own label to the next."""
    problem, own = make(1)
    rng = np.random.default_rng(0)
    t = own + rng.normal(size=own.shape) if own.shape[1] == 1 else rng.dirichlet(np.ones(3), 25)
    solution = problem.solve(t, start(problem, own))
    for row in range(0, 25, 3):
        step = np.zeros_like(t)
        step[row] = [1] if own.shape[1] == 1 else [1, -1, 0]
        up, down = (problem.solve(t + sign * 1e-4 * step, solution.weights).objective for sign in (1, -1))
        assert np.isclose((up - down) / 2e-4, (solution.label_gradient * step).sum() / 25, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("gamma", [0.03, 0.3, 3.0])
def test_shifts_are_those_of_the_lasso_on_the_equivalent_design(gamma: float) -> None:
    """With A = K (K + nλ)⁻¹: ½ ‖B δ - r‖² + (γ/n) ‖δ‖₁, from the kernel alone."""
    x, y, trusted, answers = numbers(2)
    problem, own = squared(2)
    found = shift_labels(problem.solve(own, start(problem, own)), own, gamma)
    inverse = np.linalg.inv(rbf_kernel(x, gamma=GAMMA) + 25 * LAMBDA * np.eye(25))
    inner, outer = rbf_kernel(x, gamma=GAMMA) @ inverse - np.eye(25), rbf_kernel(trusted, x, gamma=GAMMA) @ inverse
    design = np.concatenate([np.sqrt(100 / 10) * outer, np.sqrt(1 / 25) * inner])
    target = np.concatenate([np.sqrt(100 / 10) * (answers - outer @ y), -np.sqrt(1 / 25) * inner @ y])[:, 0]
    lasso = Lasso(alpha=gamma / 25 / 35, fit_intercept=False, tol=1e-12, max_iter=10**6).fit(design, target)
    assert np.allclose((found.t - own)[:, 0], lasso.coef_, atol=1e-4)
    assert 0 < (lasso.coef_ != 0).sum() < 25


@pytest.mark.parametrize(("make", "move"), [(squared, shift_labels), (classes, reassign_labels)])
def test_no_label_changes_above_the_first_gamma_and_some_do_below(make, move) -> None:
    problem, own = make(3)
    first = follow_path(problem, own, budget=0)[0]
    assert np.allclose(first.solution.t, own)
    assert np.allclose(move(first.solution, own, first.gamma * 1.01).t, own)
    assert not np.allclose(move(first.solution, own, first.gamma * 0.9).t, own)


def test_reassigned_labels_are_no_dearer_than_those_of_a_general_solver() -> None:
    """Twelve steps of ours against SLSQP on the simplex, both from the labels as they are."""
    problem, own = classes(4)
    first = follow_path(problem, own, budget=0)[0]
    gamma = first.gamma / 4

    def price(flat: np.ndarray) -> float:
        solution = problem.solve(flat.reshape(25, 3), first.solution.weights)
        return solution.objective + gamma / 25 * float((own * (1 - solution.t)).sum())

    def slope(flat: np.ndarray) -> np.ndarray:
        solution = problem.solve(flat.reshape(25, 3), first.solution.weights)
        return ((solution.label_gradient - gamma * own) / 25).ravel()

    ones = np.kron(np.eye(25), np.ones(3))
    sums = {"type": "eq", "fun": lambda t: ones @ t - 1, "jac": lambda _: ones}
    general = minimize(price, own.ravel(), jac=slope, bounds=[(0, 1)] * 75, constraints=[sums], method="SLSQP")
    before, ours = price(own.ravel()), price(reassign_labels(first.solution, own, gamma).t.ravel())
    assert before - ours > 0.8 * (before - general.fun) > 0


@pytest.mark.parametrize(("make", "tolerance"), [(squared, 1e-8), (classes, 0.25)])
def test_a_row_that_is_only_scored_is_answered_as_if_it_had_joined(make, tolerance: float) -> None:
    """Against the problem with that row in it, solved anew: exactly for squared loss, nearly for classes."""
    problem, own = make(5)
    joined = make(5, np.array([[0.4, -0.3]]))[0]
    solution = problem.solve(own, start(problem, own))
    labels = np.array([[2.0], [-1.0]]) if own.shape[1] == 1 else np.eye(3)
    added = np.repeat(joined.rows[-1:], len(labels), axis=0)
    apart = joined.rows[-1] @ (solution.weights - solution.adjoint)
    for label, answer in zip(labels, solution.corrected_if_added(added, labels), strict=True):
        expected = joined.solve(np.concatenate([own, label[np.newaxis]]), solution.weights).corrected[-1]
        error, bend = answer - expected, apart - expected
        if len(label) > 1:
            error, bend = error - error.mean(), bend - bend.mean()
        assert np.abs(error).max() <= tolerance * np.abs(bend).max()


@settings(deadline=None)
@given(arrays(np.float64, (4, 3), elements=st.floats(-5, 5)))
def test_projection_is_the_nearest_point_of_the_simplex(v: np.ndarray) -> None:
    """p is nearest exactly when (v - p)·(q - p) ≤ 0 for every corner q."""
    p = project_to_simplex(v)
    assert np.allclose(p.sum(axis=1), 1)
    assert (p >= 0).all()
    assert (((v - p)[:, np.newaxis] * (np.eye(3) - p[:, np.newaxis])).sum(axis=2) <= 1e-9).all()


def test_one_wrong_label_on_a_clean_line_comes_first() -> None:
    x = np.linspace(-2, 2, 40)[:, np.newaxis]
    own = 2 * x
    own[27] -= 5
    coordinates = gaussian_coordinates(x, GAMMA, 40)
    problem = Bilevel(coordinates(x), coordinates(x[::4] + 0.02), 2 * (x[::4] + 0.02), 1e-4, SquaredLoss(), 1.0)
    changed = follow_path(problem, own, budget=0)[-1].solution.t != own
    assert np.flatnonzero(changed).tolist() == [27]
