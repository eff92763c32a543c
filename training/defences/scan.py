"""SCAnFT: a class whose features are two groups rather than one is poisoned by the smaller (Tang et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from torch import nn

from training.defences.backdoor_defence import BackdoorDefence, Doubtful, features_of
from training.defences.robust_training import Schedule, logits_in_pieces
from training.defences.unlearning import unlearned

__all__ = [
    "LIMIT",
    "SCAN_FT",
    "Untangled",
    "decompose",
    "poisoned_rows_by_class",
    "standing_out",
    "untangle",
    "whitened",
]

LIMIT = np.e
"""A class is poisoned where its likelihood ratio lies so many robust deviations above the others'."""

_ROUNDS = 50
_RIDGE = 1e-3
_UNLEARNING = Schedule(epochs=5, drops=(), rate=5e-4)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Untangled:
    """Two groups of one class. `second`: bool (n,). `ratio`: by how much two are likelier than one, see `untangle`."""

    second: NDArray[np.bool_]
    ratio: float


def decompose(features: Array, y: NDArray[np.int64], rounds: int = _ROUNDS) -> tuple[Array, Array]:
    """S_u and S_e, (h, h) each, of x = u + e: u ~ N(0, S_u) once for each class, e ~ N(0, S_e) for each row.

    Expectation and maximisation, `rounds` times, on clean features (n, h): with m rows in a class and S = m S_u + S_e,
    u = S_u S⁻¹ Σ x, e = x - u, and the covariances of what was found. The start is that of class means and of the rest.
    """
    x = features - features.mean(axis=0)
    groups = [x[y == label] for label in np.unique(y)]
    means = np.stack([group.mean(axis=0) for group in groups])
    between, within = _covariance(means), _covariance(np.concatenate([g - g.mean(axis=0) for g in groups]))
    for _ in range(rounds):
        means = np.stack([_class_mean(group, between, within) for group in groups])
        between = _covariance(means)
        within = _covariance(np.concatenate([g - m for g, m in zip(groups, means, strict=True)]))
    return between, within


def _class_mean(group: Array, between: Array, within: Array) -> Array:
    total = len(group) * between + _ridged(within)
    return np.asarray(between @ np.linalg.solve(total, group.sum(axis=0)))


def _covariance(rows: Array) -> Array:
    return np.asarray(rows.T @ rows / len(rows))


def _ridged(covariance: Array) -> Array:
    """So little of the identity added that it can be inverted: networks leave some features idle."""
    return np.asarray(covariance + (_RIDGE * np.trace(covariance) / len(covariance) + 1e-12) * np.eye(len(covariance)))


def whitened(features: Array, within: Array) -> Array:
    """Features (n, h) in coordinates where S_e is the identity, up to the ridge."""
    return np.asarray(solve_triangular(cholesky(_ridged(within), lower=True), features.T, lower=True).T)


def untangle(white: Array) -> Untangled:
    """Splits whitened features (n, h) of one class in two, each row to the nearer mean, until nothing changes.

    The start is the sign of the first principal component. ratio = (J - n) / √(2 n), J = Σ ‖x - μ‖² - Σ ‖x - μ_own‖²:
    twice the logarithm of the likelihood ratio, scaled as if it were χ² with n degrees of freedom.
    """
    x = white - white.mean(axis=0)
    second = x @ np.linalg.svd(x, full_matrices=False)[2][0] > 0
    for _ in range(_ROUNDS):
        if second.all() or not second.any():
            return Untangled(np.zeros(len(x), np.bool_), -((len(x) / 2) ** 0.5))
        first_mean, second_mean = x[~second].mean(axis=0), x[second].mean(axis=0)
        nearer = ((x - second_mean) ** 2).sum(axis=1) < ((x - first_mean) ** 2).sum(axis=1)
        if np.array_equal(nearer, second):
            break
        second = nearer
    within = sum(((part - part.mean(axis=0)) ** 2).sum() for part in (x[second], x[~second]) if len(part))
    gain = float((x**2).sum() - within)
    return Untangled(second, (gain - len(x)) / (2 * len(x)) ** 0.5)


def standing_out(ratios: Array) -> NDArray[np.bool_]:
    """Which classes' ratios lie above the median by more than `LIMIT` times 1.4826 · the median absolute deviation."""
    off = ratios - np.median(ratios)
    spread = 1.4826 * np.median(np.abs(off))
    return np.asarray(off > LIMIT * spread)


def poisoned_rows_by_class(
    features: Array, y: NDArray[np.int64], clean: Array, clean_y: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which rows are poison, bool (n,): in each class that stands out, the group that holds fewer of its clean rows.

    `features` (n, h) and y: rows that may hold poison; `clean`, `clean_y`: rows known to be clean. Clean rows are put
    into the nearer group; the share is of those to the group's own rows.
    """
    within = decompose(clean, clean_y)[1]
    white, clean_white = whitened(features, within), whitened(clean, within)
    labels = np.unique(y)
    found = [untangle(white[y == label]) for label in labels]
    poisoned = np.zeros(len(y), np.bool_)
    for label in np.flatnonzero(standing_out(np.array([one.ratio for one in found]))):
        own = np.flatnonzero(y == labels[label])
        second = found[label].second
        poisoned[own[_smaller_share(white[own], second, clean_white[clean_y == labels[label]])]] = True
    return poisoned


def _smaller_share(white: Array, second: NDArray[np.bool_], clean: Array) -> NDArray[np.bool_]:
    """The one of two groups, bool (n,), that fewer clean rows fall into for its size."""
    if second.all() or not second.any():
        return np.zeros(len(second), np.bool_)
    means = [white[part].mean(axis=0) for part in (~second, second)]
    nearer = ((clean - means[1]) ** 2).sum(axis=1) < ((clean - means[0]) ** 2).sum(axis=1)
    return second if nearer.sum() / second.sum() <= (~nearer).sum() / (~second).sum() else ~second


def _run(doubtful: Doubtful) -> nn.Module:
    phi, rows, reserved = features_of(doubtful.network), doubtful.rows, doubtful.reserved
    features, clean = (logits_in_pieces(phi, z).double().cpu().numpy() for z in (rows.z, reserved.z))
    found = poisoned_rows_by_class(features, rows.y.cpu().numpy(), clean, reserved.y.cpu().numpy())
    suspected = torch.from_numpy(found).to(rows.z.device)
    return unlearned(doubtful.network, rows, suspected, ~suspected, _UNLEARNING, doubtful.seed)


SCAN_FT = BackdoorDefence(
    name="scan-ft",
    description="finds classes whose features are two groups, and unlearns the group that clean rows avoid",
    needs="clean rows of every class, and a trained network",
    run=_run,
)
"""SCAnFT: SCAn's detection, then unlearning.

Differs from the paper: two groups are told by the nearer mean in the metric of S_e, as its discriminant does for
equal groups; where the median absolute deviation is 0, any class above the median stands out. Recalled, not read
again, the limit too.
"""
