"""Cross-fitting: a model per fold, every calibration row scored by the model that never saw it or its twin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from training.members.member import FittedMember, StreamGain, TrustedData
from training.networks import MeanScore, score_rows
from training.rows import Rows

__all__ = ["CrossFitted", "cross_fit", "cross_fit_beside"]

Learn = Callable[[Tensor, Tensor, int, str], tuple[nn.Module, list[float]]]
"""(z, y, seed, name) of one fold's training rows → a module scoring (z, y), and its training curve."""

LearnBeside = Callable[[Tensor, Tensor, Rows | None, int, str], tuple[nn.Module, list[float]]]
"""The same with pseudo-labelled rows, which this fold's training rows gave labels to, None where there are none."""


@dataclass(frozen=True)
class CrossFitted:
    """One scorer per fold, the calibration scores in the order of `plan.calibration`, and the training curves.

    `stream`: what pseudo-labelled rows were worth, where they were offered.
    """

    scorers: tuple[nn.Module, ...]
    calibration: NDArray[np.float64]
    curves: dict[str, list[float]]
    stream: StreamGain | None = None

    def member(self, suggest: nn.Module | None = None) -> FittedMember:
        """The member that serves: the mean of the folds' scores, or the one scorer where rows were held out."""
        if len(self.scorers) == 1:
            return FittedMember(self.scorers[0], self.calibration, self.curves, suggest, stream=self.stream)
        mean = MeanScore(self.scorers).eval()
        return FittedMember(mean, self.calibration, self.curves, suggest, self.scorers, stream=self.stream)


def cross_fit(data: TrustedData, learn: Learn) -> CrossFitted:
    """Learns on each fold's training rows and scores its calibration rows."""
    return _cross_fit(data, lambda z, y, _, seed, name: learn(z, y, seed, name))


def cross_fit_beside(data: TrustedData, learn: LearnBeside) -> CrossFitted:
    """`cross_fit` of a member that learns from pseudo-labelled rows as well."""
    return replace(_cross_fit(data, learn), stream=data.pseudo.gain if data.pseudo else None)


def _cross_fit(data: TrustedData, learn: LearnBeside) -> CrossFitted:
    scorers, curves = [], {}
    calibration = np.full(len(data.y), np.nan)
    for k, fold in enumerate(data.plan.folds):
        name = f"fold {k + 1}/{len(data.plan.folds)}"
        beside = data.pseudo.beside(k) if data.pseudo else None
        scorer, curve = learn(data.z[fold.train], data.y[fold.train], beside, data.seed + k, name)
        scorer.eval()
        calibration[fold.calibrate] = score_rows(scorer, data.z[fold.calibrate], data.y[fold.calibrate])
        scorers.append(scorer)
        if curve:
            curves[name] = curve
    return CrossFitted(tuple(scorers), calibration[data.plan.calibration], curves)
