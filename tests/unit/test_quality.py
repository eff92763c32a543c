from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from training.quality import (
    average_euclidean_distance,
    frechet_distance,
    inception_score,
    mean_wasserstein_distance,
    measure_quality,
)
from training.rows import Rows


class AsTheyAre(nn.Module):
    """Hands torchmetrics our features in place of Inception's."""

    num_features = 3

    def forward(self, features: Tensor) -> Tensor:
        return features.double()


def normal(count: int, spread: float, centre: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, spread, (count, 3)).astype(np.float32)


def test_inception_score_of_no_and_of_full_knowledge() -> None:
    assert inception_score(np.full((50, 5), 0.2)) == pytest.approx(1.0)
    assert inception_score(np.eye(5).repeat(10, axis=0)) == pytest.approx(5.0)
    assert inception_score(np.eye(5)[[0] * 20]) == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save:UserWarning")
def test_inception_score_is_that_of_torchmetrics() -> None:
    first, second = normal(150, 2.0, 0.0, 1), normal(150, 1.0, 1.0, 2)
    metric = InceptionScore(feature=AsTheyAre(), splits=2)
    metric.update(torch.from_numpy(np.concatenate([first, first])))
    logits = np.concatenate([first, first]).astype(np.float64)
    assert inception_score(softmax(logits, axis=1)) == pytest.approx(float(metric.compute()[0]), rel=0.05)
    assert inception_score(softmax(second.astype(np.float64), axis=1)) < inception_score(softmax(logits, axis=1))


def test_frechet_distance_is_that_of_torchmetrics() -> None:
    real, made = normal(300, 1.0, 0.0, 3), normal(200, 2.0, 1.0, 4)
    metric = FrechetInceptionDistance(feature=AsTheyAre())
    metric.update(torch.from_numpy(real), real=True)
    metric.update(torch.from_numpy(made), real=False)
    found = frechet_distance(real.astype(np.float64), made.astype(np.float64))
    assert found == pytest.approx(float(metric.compute()), rel=1e-5)


@given(st.floats(-5, 5), st.floats(0.1, 4), st.floats(0.1, 4))
def test_frechet_distance_of_two_gaussians_in_closed_form(shift: float, first: float, second: float) -> None:
    # Corners of a square, scaled to unit covariance exactly: only rounding is left.
    corners = np.concatenate([np.eye(2), -np.eye(2)])
    corners /= corners[:, 0].std(ddof=1)
    found = frechet_distance(first * corners, shift + second * corners)
    assert found == pytest.approx(2 * shift**2 + 2 * (first - second) ** 2, rel=1e-6, abs=1e-6)


def test_frechet_distance_of_fewer_rows_than_features_is_a_number() -> None:
    rng = np.random.default_rng(1)
    few = rng.normal(size=(4, 10))
    assert frechet_distance(few, few) == pytest.approx(0.0, abs=1e-5)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=4))
def test_wasserstein_distance_of_a_shift_is_the_mean_shift(shift: list[float]) -> None:
    real = np.random.default_rng(0).normal(size=(30, len(shift)))
    assert mean_wasserstein_distance(real, real + shift) == pytest.approx(np.mean(np.abs(shift)), abs=1e-9)


def test_average_euclidean_distance_is_the_mean_over_all_pairs() -> None:
    real, made = normal(7, 1.0, 0.0, 1).astype(np.float64), normal(5, 2.0, 1.0, 2).astype(np.float64)
    brute = np.mean([np.sqrt(((x - y) ** 2).sum()) for x in real for y in made])
    assert average_euclidean_distance(real, made) == pytest.approx(brute)
    assert average_euclidean_distance(real, real) > 0


def test_noise_is_worse_than_real_digits_in_every_measure() -> None:
    x, y = load_digits(return_X_y=True)
    digits = Rows(torch.from_numpy(x / 16).float().view(-1, 1, 8, 8), torch.from_numpy(y), 10)
    real, other = digits.select(torch.arange(600)), digits.select(torch.arange(600, 1200))
    noise = Rows(torch.rand(600, 1, 8, 8, generator=torch.Generator().manual_seed(0)), other.y, 10)
    good, bad = (measure_quality(real, rows, seed=0, steps=60) for rows in (other, noise))
    assert good.wasserstein < bad.wasserstein
    assert good.frechet is not None
    assert bad.frechet is not None
    assert good.inception is not None
    assert bad.inception is not None
    assert good.frechet < 0.5 * bad.frechet
    assert good.inception > 2 * bad.inception
    assert measure_quality(real, other, seed=0, steps=60) == good


def test_tables_have_neither_inception_score_nor_frechet_distance() -> None:
    rows = Rows(torch.randn(20, 3), torch.randn(20), 0)
    found = measure_quality(rows, rows, seed=0)
    assert (found.inception, found.frechet, found.wasserstein) == (None, None, 0.0)
