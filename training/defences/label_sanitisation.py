"""Label sanitisation: a row is poison where its nearest neighbours agree on another label (Paudice et al. 2018)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.attacks.attack import Labels
from training.attacks.domain import class_count, is_classes, require
from training.defences.defence import Defence, Evidence, Ranking
from training.defences.features import flat_inputs
from training.defences.neighbours import Bank, Votes

__all__ = ["ETA", "LABEL_SANITISATION", "NEIGHBOURS", "choose_bank", "sanitise_labels"]

ETA = 0.5
"""η: share of the neighbours that must agree before a row is relabelled."""

NEIGHBOURS = (3, 5, 9, 15, 25)
"""What k is chosen from: with one neighbour there is nobody to agree."""


def sanitise_labels(evidence: Evidence) -> Ranking:
    """Asks the k nearest rows of So, in L2 between inputs, for a label to replace each row's own with.

    With c_i the class of most of the k nearest and s_i(c) the share of class c among them:

    flagged_i = [ c_i ≠ y_i and s_i(c_i) ≥ η ],   η = 0.5
    suspicion_i = max_{c ≠ y_i} s_i(c) + d_i / k,   in [0, 1 + 1/k]

    The published defence relabels a flagged row with c_i. k is the one of `NEIGHBOURS` whose vote is right on most of
    the trusted rows, of equals the largest. d_i in [0, 1] grows with the distance to neighbours labelled y_i, and
    orders rows of equal share. Further clean rows are asked in the same way; So's rows alone vote.
    Raises `WrongUse` for regression.

    Differs from the paper (recalled, not read again): there k is chosen by a classifier's performance on validation
    rows; here the vote itself is asked. The graded suspicion is ours.
    """
    require(is_classes(evidence.spec), "classes")
    inputs = flat_inputs(evidence)
    bank = choose_bank(inputs.rows, evidence.y, inputs.trusted, evidence.trusted_y, class_count(evidence.spec))
    relabel = (bank.own.winner != evidence.y) & (bank.own.share.max(axis=1) >= ETA)
    votes = bank.votes(inputs.clean)
    scores = _suspicion(bank, bank.own, evidence.y), _suspicion(bank, votes, evidence.clean_y)
    return Ranking(*scores, flagged=relabel)


def choose_bank(
    z: NDArray[np.float64], y: Labels, trusted_z: NDArray[np.float64], trusted_y: Labels, classes: int
) -> Bank:
    """So, z (n, d) and y (n,), with the k of `NEIGHBOURS` whose vote most of the trusted rows agree with."""
    banks = [Bank(z, y, classes, k) for k in NEIGHBOURS]
    right = [np.mean(bank.votes(trusted_z).winner == trusted_y) for bank in banks]
    return max(zip(right, banks, strict=True), key=lambda found: (found[0], found[1].k))[1]


def _suspicion(bank: Bank, votes: Votes, y: Labels) -> NDArray[np.float64]:
    other = votes.share.copy()
    other[np.arange(len(y)), y] = 0
    return np.asarray(other.max(axis=1) + votes.remoteness(y) / bank.k)


LABEL_SANITISATION = Defence(
    name="label-sanitisation",
    description="flags rows whose nearest rows agree on another label, by which they would be relabelled",
    needs="trusted rows to choose the number of neighbours by",
    applies=is_classes,
    run=sanitise_labels,
)
"""Label sanitisation by k nearest neighbours."""
