"""The verdict as a smooth margin of every member: how far a score lies from where that member alone would hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from guard.calibration import Fusion

__all__ = ["VerdictMargin", "verdict_margin"]

_BISECTIONS = 60
_REACH = 100.0
"""Tail scales beyond the largest calibration score: further out lies no score that α could matter to."""


@dataclass(frozen=True)
class VerdictMargin:
    """`thresholds`: float64 (classes, members), the score from which a member holds alone; `scale`: (members,)."""

    thresholds: Tensor
    scale: Tensor

    def __call__(self, scores: Tensor, y: Tensor) -> Tensor:
        """m_k = (s_k − t_k(y)) / b_k for scores (n, members) and classes y (n,): (n, members).

        A sample is held exactly where max_k m_k ≥ 0. b_k is the scale of the exponential tail of member k, so a step
        of 1 is a factor e in its p-value, in the tail and, unlike the empirical p-value, below it as well: the
        surrogate by which the step function of ranks has a gradient everywhere.
        """
        return (scores.double() - self.thresholds[y]) / self.scale


def verdict_margin(fusion: Fusion, classes: int) -> VerdictMargin:
    """The margins of `fusion` at its α and boundary.

    p falls in the score of every member alone, and the least p-value decides; so whether a sample is held is a question
    to each member apart, and each threshold is found by bisection with the others silent. A member that holds alone at
    no score in reach has its threshold there.
    """
    silent = np.array([ranks.ordered[0] for ranks in fusion.members])
    spread = np.array([max(float(np.ptp(ranks.ordered)), 1e-6) for ranks in fusion.members])
    tails = np.array([ranks.scale for ranks in fusion.members])
    scale = np.where(np.isfinite(tails), np.maximum(tails, 1e-6 * spread), spread)
    high = np.array([ranks.ordered[-1] for ranks in fusion.members]) + _REACH * scale
    return VerdictMargin(torch.from_numpy(_thresholds(fusion, classes, silent, high)), torch.from_numpy(scale))


def _thresholds(
    fusion: Fusion, classes: int, silent: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(classes, members): the least score that is held, between `silent` and `high` of each member."""
    members = len(silent)
    label = np.repeat(np.arange(classes), members)
    own = np.tile(np.arange(members), classes)
    passed, held = silent[own], high[own]
    for _ in range(_BISECTIONS):
        middle = (passed + held) / 2
        scores = np.repeat(silent[np.newaxis], len(own), axis=0)
        scores[np.arange(len(own)), own] = middle
        stopped = fusion.judge(scores, label).held
        passed, held = np.where(stopped, passed, middle), np.where(stopped, middle, held)
    return held.reshape(classes, members)
