from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn

from training.defences.lgm.mixture import GaussianMixtureHead, likelihood_score, margin, row_losses
from training.members.lgm import MixtureScore


def head(means: torch.Tensor, *, grad: bool = False) -> GaussianMixtureHead:
    made = GaussianMixtureHead(means.shape[1], means.shape[0])
    made.means = nn.Parameter(means, requires_grad=grad)
    return made


def test_distances_are_half_squared_and_the_nearest_mean_wins() -> None:
    means, features = torch.randn(5, 3), torch.randn(40, 3)
    expected = 0.5 * torch.cdist(features, means, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    torch.testing.assert_close(head(means)(features), expected, rtol=1e-4, atol=1e-5)


def test_without_margin_the_cross_entropy_is_that_of_linear_discriminant_analysis() -> None:
    z, y = load_wine(return_X_y=True)
    z = (z - z.mean(0)) / z.std(0)
    lda = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3, store_covariance=True).fit(z, y)
    whiten = np.linalg.cholesky(np.linalg.inv(lda.covariance_))  # makes the shared covariance the identity
    distance = head(torch.tensor(lda.means_ @ whiten))(torch.tensor(z @ whiten))
    expected = -lda.predict_log_proba(z)[np.arange(len(y)), y].mean()
    found = row_losses(distance, torch.tensor(y), margin=0.0, weight=0.0).mean()
    np.testing.assert_allclose(float(found), expected, rtol=1e-3)  # scikit-learn weighs the covariance by priors


def test_the_likelihood_term_pulls_the_claimed_mean_towards_the_features() -> None:
    mixture, features, y = head(torch.randn(3, 2), grad=True), torch.randn(1, 2), torch.tensor([1])
    with_term, without = (
        torch.autograd.grad(row_losses(mixture(features), y, margin=0.0, weight=w).mean(), mixture.means)[0]
        for w in (1.0, 0.0)
    )
    expected = torch.zeros(3, 2)
    expected[1] = mixture.means[1] - features[0]
    torch.testing.assert_close(with_term - without, expected, rtol=1e-4, atol=1e-5)


def test_a_margin_costs_only_the_claimed_class() -> None:
    distance, y = torch.tensor([[1.0, 3.0]]), torch.tensor([0])
    found = row_losses(distance, y, margin=0.5, weight=0.0)
    np.testing.assert_allclose(float(found), np.log1p(np.exp(1.5 - 3.0)), rtol=1e-6)


def test_the_score_changes_sign_where_another_class_comes_nearer() -> None:
    score = MixtureScore(head(torch.tensor([[0.0, 0.0], [4.0, 0.0]])))
    z = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    found = score(z, torch.zeros(3, dtype=torch.int64))
    assert found[0] < -1
    np.testing.assert_allclose(float(found[1]), 0, atol=1e-5)
    assert found[2] > 1


def test_likelihood_and_margin_by_hand() -> None:
    distance, y = torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.5, 4.0]]), torch.tensor([0, 2])
    assert likelihood_score(distance, y).tolist() == [1.0, 4.0]
    assert margin(distance, y).tolist() == [-1.0, 3.5]
