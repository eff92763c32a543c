"""Which rows train and which calibrate: held out where rows are plenty, out of fold where every row counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.snapshot import Snapshot

__all__ = ["HOLD_OUT_FROM", "Fold", "FoldPlan", "plan_folds"]

HOLD_OUT_FROM = {"image": 500, "table": 2000}
"""Rows from which two of the ten folds are set aside for calibration only.

One set of models then scores calibration and stream alike, which makes the rate exact. Below it, models that learn from
more rows, and average over folds, are calibrated by those of single folds, so fewer clean samples are held than α
allows. 500 is where a fifth of the rows still guarantees α = 1 %.
"""
_HELD_OUT_FOLDS = 2


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


def plan_folds(snapshot: Snapshot, folds: int) -> FoldPlan:
    """Two of ten folds held out from `HOLD_OUT_FROM` rows on; `folds` cross-fitted ones below it (2 to 10)."""
    fold = snapshot.fold.astype(np.int64)
    if len(fold) >= HOLD_OUT_FROM[snapshot.spec.input.kind]:
        return FoldPlan((_split(fold < _HELD_OUT_FOLDS),))
    return FoldPlan(tuple(_split(fold % folds == k) for k in range(folds)))


def _split(held: NDArray[np.bool_]) -> Fold:
    return Fold(train=np.flatnonzero(~held), calibrate=np.flatnonzero(held))
