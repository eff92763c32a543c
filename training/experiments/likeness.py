"""How near synthetic rows are to real ones: Wasserstein and Euclidean distance, and stand-ins for FID and IS."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance
from torch import nn

from training.attacks.victims import train_network
from training.experiments.experiment import Row
from training.rows import Rows

__all__ = ["compare_rows", "euclidean", "frechet", "inception_like", "wasserstein"]

_MOST = 2_000

Floats = NDArray[np.float64]


def compare_rows(synthetic: Rows, real: Rows, seed: int) -> Row:
    """`wd`, `aed` of the rows as networks see them; images also `frechet` and `score`, in features of a small network.

    The network has two convolutions and is trained on the real rows; it stands in for Inception, whose weights are not
    at hand, so that the two figures cannot be compared with printed ones, only with each other.
    """
    ours, theirs = (rows.z[:_MOST].flatten(1).double().cpu().numpy() for rows in (synthetic, real))
    figures: Row = {"wd": wasserstein(ours, theirs), "aed": euclidean(ours, theirs)}
    if not real.images:
        return figures
    network = train_network(real.z.cpu(), real.y.cpu(), seed)
    with torch.no_grad():
        features = nn.Sequential(*list(network.children())[:-1])
        deep = [features(rows.z[:_MOST].cpu()).double().numpy() for rows in (synthetic, real)]
        answers = torch.softmax(network(synthetic.z[:_MOST].cpu()), dim=1).double().numpy()
    return figures | {"frechet": frechet(*deep), "score": inception_like(answers)}


def wasserstein(a: Floats, b: Floats) -> float:
    """WD (Eq. 14): the distance of a (n, d) and b (m, d) in each column by itself, averaged over the columns.

    Differs from the paper: there it is not said how many dimensions are handled.
    """
    return float(np.mean([wasserstein_distance(one, other) for one, other in zip(a.T, b.T, strict=True)]))


def euclidean(a: Floats, b: Floats) -> float:
    """AED (Eq. 15): the mean distance of all n · m pairs; not 0 for real rows."""
    return float(cdist(a, b).mean())


def frechet(a: Floats, b: Floats) -> float:
    """FID (Eq. 13) of features a (n, h), b (m, h): ‖m_a − m_b‖² + Tr(C_a + C_b − 2 (C_a C_b)^½)."""
    left, right = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(left @ right)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(left + right - 2 * np.real(root)))


def inception_like(p: Floats) -> float:
    """IS (Eq. 12) of class probabilities p (n, classes): exp(E KL(p(y|x) ‖ p(y))), from 1 to the number of classes."""
    p = p.clip(1e-12)
    return float(np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean()))
