from __future__ import annotations

import numpy as np
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from training.gaussian_process import GaussianProcess, Kernel, choose_kernel, leave_out

KERNEL = Kernel(length=0.9, noise=0.02)


def rows(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(count, 2))
    return z, np.sin(2 * z[:, :1]) + 0.1 * rng.normal(size=(count, 1))


def reference(z: np.ndarray, y: np.ndarray, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's process, whose variance is without noise."""
    process = GaussianProcessRegressor(RBF(KERNEL.length), alpha=KERNEL.noise, optimizer=None).fit(z, y[:, 0])
    mean, deviation = process.predict(query, return_std=True)
    return mean, deviation**2 + KERNEL.noise


def test_predicts_as_scikit_learn() -> None:
    (z, y), query = rows(0), np.random.default_rng(1).normal(size=(30, 2)) * 2
    mean, variance = GaussianProcess.fit(z, y, KERNEL)(torch.tensor(query, dtype=torch.float32))
    expected_mean, expected_variance = reference(z, y, query)
    np.testing.assert_allclose(mean[:, 0], expected_mean, atol=1e-4)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-3)


def test_leaving_out_equals_fitting_without_the_row() -> None:
    z, y = rows(2)
    mean, variance = leave_out(z, y, KERNEL)
    for i in (0, 7, 39):
        rest = np.arange(40) != i
        expected_mean, expected_variance = reference(z[rest], y[rest], z[[i]])
        np.testing.assert_allclose(mean[i, 0], expected_mean[0], rtol=1e-8)
        np.testing.assert_allclose(variance[i], expected_variance[0], rtol=1e-8)


def test_leaving_out_takes_twins_along() -> None:
    z, y = rows(3)
    z[[4, 11]] = z[30]
    mean, variance = leave_out(z, y, KERNEL)
    rest = ~np.isin(np.arange(40), [4, 11, 30])
    expected_mean, expected_variance = reference(z[rest], y[rest], z[[30]])
    np.testing.assert_allclose(mean[[4, 11, 30], 0], expected_mean[0], rtol=1e-8)
    np.testing.assert_allclose(variance[[4, 11, 30]], expected_variance[0], rtol=1e-8)


def test_the_chosen_kernel_predicts_left_out_rows_better_than_others() -> None:
    z, y = rows(4, 120)

    def squared_error(kernel: Kernel) -> float:
        return float(((y - leave_out(z, y, kernel)[0]) ** 2).mean())

    kernel = choose_kernel(z, y, seed=0)
    assert squared_error(kernel) < 0.05  # labels of variance .5 with noise .01
    for factor in (0.1, 10.0):
        assert squared_error(kernel) < squared_error(Kernel(kernel.length * factor))


def test_rows_that_are_all_alike_do_not_break_it() -> None:
    z, y = np.zeros((8, 3)), np.array([[0.0], [1.0]] * 4)
    kernel = choose_kernel(z, y, seed=0)
    mean, variance = leave_out(z, y, kernel)
    assert np.isfinite(mean).all()
    assert (variance > 0).all()
