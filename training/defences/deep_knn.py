"""Deep-kNN: a row is poison where the nearest rows in feature space are labelled otherwise (Peri et al. 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.attacks.attack import Labels
from training.attacks.domain import class_count, is_classes, require
from training.defences.defence import Defence, Evidence, Ranking
from training.defences.features import deep_features
from training.defences.neighbours import Bank, Votes

__all__ = ["DEEP_KNN", "K", "judge_by_neighbours"]

K = 101
"""Neighbours that vote. The authors advise more than twice the number of poisoned rows of one class."""


def judge_by_neighbours(evidence: Evidence) -> Ranking:
    """Asks the k = 101 nearest rows of So, in L2 between features φ (h,), how they are labelled.

    flagged_i = [ plurality of {y_j : j among the k nearest of i, j ≠ i} ≠ y_i ]
    suspicion_i = 1 - (share of them labelled y_i) + d_i / k,   in [0, 1 + 1/k]

    d_i in [0, 1] grows with the distance to those labelled y_i, and orders rows of equal share. A tie for the plurality
    goes to the nearer class. φ: 64 penultimate outputs of a small network trained on the trusted rows; for tables,
    the columns (`flat_inputs`). Further clean rows are asked in the same way; So's rows alone vote.
    Raises `WrongUse` for regression.

    Differs from the paper: no row votes on itself, as it does in the published code; the minority class is not
    replicated where classes are unbalanced; k is n - 1 in small sets; the graded suspicion is ours; tables have no
    network, since columns are few.
    """
    require(is_classes(evidence.spec), "classes")
    features = deep_features(evidence)
    bank = Bank(features.rows, evidence.y, class_count(evidence.spec), K)
    votes = bank.votes(features.clean)
    scores = _suspicion(bank, bank.own, evidence.y), _suspicion(bank, votes, evidence.clean_y)
    return Ranking(*scores, flagged=bank.own.winner != evidence.y)


def _suspicion(bank: Bank, votes: Votes, y: Labels) -> NDArray[np.float64]:
    return np.asarray(1 - votes.share[np.arange(len(y)), y] + votes.remoteness(y) / bank.k)


DEEP_KNN = Defence(
    name="deep-knn",
    description="flags rows whose nearest rows in a network's feature space are mostly labelled otherwise",
    needs="trusted rows to train a network on, where samples are images",
    applies=is_classes,
    run=judge_by_neighbours,
)
"""Deep-kNN."""
