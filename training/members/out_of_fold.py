"""Cross-fitting: a model per fold, every calibration row scored by the model that never saw it or its twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from training.members.member import FittedMember, TrustedData
from training.networks import MeanScore, score_rows

__all__ = ["CrossFitted", "cross_fit"]

Learn = Callable[[Tensor, Tensor, int, str], tuple[nn.Module, list[float]]]
"""(z, y, seed, name) of one fold's training rows → a module scoring (z, y), and its training curve."""


@dataclass(frozen=True)
class CrossFitted:
    """One scorer per fold, the calibration scores in the order of `plan.calibration`, and the training curves."""

    scorers: tuple[nn.Module, ...]
    calibration: NDArray[np.float64]
    curves: dict[str, list[float]]

    def member(self, suggest: nn.Module | None = None) -> FittedMember:
        """The member that serves: the mean of the folds' scores, or the one scorer where rows were held out."""
        if len(self.scorers) == 1:
            return FittedMember(self.scorers[0], self.calibration, self.curves, suggest)
        return FittedMember(MeanScore(self.scorers).eval(), self.calibration, self.curves, suggest, self.scorers)


def cross_fit(data: TrustedData, learn: Learn) -> CrossFitted:
    """Learns on each fold's training rows and scores its calibration rows."""
    scorers, curves = [], {}
    calibration = np.full(len(data.y), np.nan)
    for k, fold in enumerate(data.plan.folds):
        name = f"fold {k + 1}/{len(data.plan.folds)}"
        scorer, curve = learn(data.z[fold.train], data.y[fold.train], data.seed + k, name)
        scorer.eval()
        calibration[fold.calibrate] = score_rows(scorer, data.z[fold.calibrate], data.y[fold.calibrate])
        scorers.append(scorer)
        if curve:
            curves[name] = curve
    return CrossFitted(tuple(scorers), calibration[data.plan.calibration], curves)
