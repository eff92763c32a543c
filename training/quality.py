"""How good synthetic rows are (§VI-A, Eqs 12–15): IS and FID for images, WD and AED for tables.

Differs from the paper: IS and FID use the classes and features of a small classifier that is trained on the trusted
rows themselves, not Inception's, whose weights are not shipped. Their values compare augmenters on one data set and
cannot be set beside published ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance
from torch import nn
from torch.nn import functional

from training.networks import body, recipe_for, seeded, train
from training.progress import Progress, Silent
from training.rows import Rows

__all__ = [
    "Quality",
    "average_euclidean_distance",
    "frechet_distance",
    "inception_score",
    "mean_wasserstein_distance",
    "measure_quality",
]

_MOST_ROWS = 2000
"""Rows of each kind that are compared: pairwise distances of 2000 × 2000 fit in memory."""


@dataclass(frozen=True)
class Quality:
    """The measures of Table II. `inception`, higher is better, and `frechet` for images, else None; the rest: lower."""

    wasserstein: float
    euclidean: float
    inception: float | None = None
    frechet: float | None = None


def measure_quality(
    real: Rows, synthetic: Rows, *, seed: int, steps: int = 300, progress: Progress | None = None
) -> Quality:
    """All measures of `synthetic` against `real`; the classifier for images is trained on `real` for `steps` steps."""
    real, synthetic = _thin(real, seed), _thin(synthetic, seed)
    flat, made = (rows.z.flatten(1).double().cpu().numpy() for rows in (real, synthetic))
    wasserstein, euclidean = mean_wasserstein_distance(flat, made), average_euclidean_distance(flat, made)
    if not (real.images and real.classes):
        return Quality(wasserstein, euclidean)
    classifier = _classifier(real, seed, steps, progress or Silent())
    probabilities, made_features = _read(classifier, synthetic)
    _, features = _read(classifier, real)
    return Quality(wasserstein, euclidean, inception_score(probabilities), frechet_distance(features, made_features))


def inception_score(probabilities: NDArray[np.float64]) -> float:
    """Exp E_x KL(p(y|x) ‖ p(y)) (Eq. 12) of class probabilities (n, classes): 1 to the number of classes."""
    p = np.clip(probabilities, 1e-16, None)
    return float(np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()))


def frechet_distance(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> float:
    """‖m_r − m_g‖² + Tr(C_r + C_g − 2 (C_r C_g)^½) (Eq. 13) of features (n, d) and (m, d), n and m at least 2."""
    gap = real.mean(axis=0) - synthetic.mean(axis=0)
    first, second = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, synthetic))
    # The trace of the root is the sum of the eigenvalues' roots, also where few rows leave the product singular.
    root = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * root)


def mean_wasserstein_distance(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> float:
    """Mean over the columns of (n, d) and (m, d) of the optimal transport cost |x − y| on the line (Eq. 14).

    Differs from the paper: it does not say how d columns are put together; the mean of one-dimensional distances is
    exact per column and needs no solver.
    """
    columns = zip(real.T, synthetic.T, strict=True)
    return float(np.mean([wasserstein_distance(ours, theirs) for ours, theirs in columns]))


def average_euclidean_distance(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> float:
    """Mean distance of all n · m pairs of rows (Eq. 15). Not 0 for equal sets: a row is far from most others."""
    return float(cdist(real, synthetic).mean())


def _thin(rows: Rows, seed: int) -> Rows:
    if len(rows) <= _MOST_ROWS:
        return rows
    return rows.select(torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:_MOST_ROWS])


def _classifier(real: Rows, seed: int, steps: int, progress: Progress) -> nn.Sequential:
    network = seeded(lambda: body(real.z.shape[1:], real.classes), seed).to(real.z.device)
    recipe = recipe_for(real.z, steps, 64)
    train(
        network,
        lambda z, y, _: functional.cross_entropy(network(z), y),
        *(real.z, real.y, recipe, seed, progress, "classifier for IS and FID"),
    )
    return nn.Sequential(*network.children())


@torch.no_grad()
def _read(classifier: nn.Sequential, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Class probabilities (n, classes) and penultimate features (n, h)."""
    features = classifier[:-1](rows.z)
    probabilities = classifier[-1](features).softmax(dim=1)
    return probabilities.double().cpu().numpy(), features.double().cpu().numpy()
