"""Which rows train and which calibrate: held out where rows are plenty, out of fold where every row counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.snapshot import FOLDS, Snapshot

__all__ = ["HOLD_OUT_FROM", "Fold", "FoldPlan", "plan_folds"]

HOLD_OUT_FROM = 2000
"""Rows from which two of the ten folds are set aside for calibration only (≥ 400 rows, so α = 1 % keeps 4 ranks of room).

One set of models then scores calibration and stream alike, which makes the rate exact; below it, models that average
over folds would be calibrated by single-fold models and hold fewer samples than α allows.
"""
_CROSS_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """Row indices: `train` teaches a model, `calibrate` is scored by it and by no model that saw those rows."""

    train: NDArray[np.int64]
    calibrate: NDArray[np.int64]


@dataclass(frozen=True)
class FoldPlan:
    """The folds of one training job. `calibration` lists all rows that calibrate, ascending."""

    folds: tuple[Fold, ...]

    @property
    def held_out(self) -> bool:
        """True when one fold's calibration rows are never trained on by any model."""
        return len(self.folds) == 1

    @property
    def calibration(self) -> NDArray[np.int64]:
        """Every calibration row once, ascending."""
        return np.sort(np.concatenate([fold.calibrate for fold in self.folds]))


def plan_folds(snapshot: Snapshot) -> FoldPlan:
    """Two of ten folds held out from `HOLD_OUT_FROM` rows on, five cross-fitted folds below."""
    fold = snapshot.fold.astype(np.int64)
    if len(fold) >= HOLD_OUT_FROM:
        return FoldPlan((_split(fold < FOLDS // _CROSS_FOLDS),))
    return FoldPlan(tuple(_split(fold % _CROSS_FOLDS == k) for k in range(_CROSS_FOLDS)))


def _split(held: NDArray[np.bool_]) -> Fold:
    return Fold(train=np.flatnonzero(~held), calibrate=np.flatnonzero(held))
