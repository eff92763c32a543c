"""What an attack does to the model that it was built for: retrain with the poison added, and ask for clean rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from guard.spec import ClassLabel, InputSpec
from training.attacks.attack import Attack, AttackerRows, Inputs, Labels, Poison, Predict

__all__ = ["Harm", "mean_error", "measure_harm"]


@dataclass(frozen=True)
class Harm:
    """Error on clean test rows: share of wrong classes, or mean squared error over the label range squared."""

    clean: float
    poisoned: float


def measure_harm(
    attack: Attack, rows: AttackerRows, poison: Poison, test: tuple[Inputs, Labels], seed: int = 0
) -> Harm:
    """Train the victim on the rows as they were, and with each poisoned row in the place of the row it was made from.

    A flipped copy beside its original would mostly be outvoted by it. Invented rows are added. `test` is clean (x, y).
    """
    kept = np.setdiff1d(np.arange(len(rows.y)), poison.base_index)
    x, y = np.concatenate([rows.x[kept], poison.x]), np.concatenate([rows.y[kept], poison.y])
    clean = attack.victim(rows.x, rows.y, rows.spec, seed)
    poisoned = attack.victim(x, y, rows.spec, seed)
    return Harm(mean_error(clean, test, rows.spec), mean_error(poisoned, test, rows.spec))


def mean_error(predict: Predict, test: tuple[Inputs, Labels], spec: InputSpec) -> float:
    """Share of wrong classes, or mean squared error over the label range squared, on `test`, encoded (x, y)."""
    x, y = test
    if isinstance(spec.label, ClassLabel):
        return float(np.mean(predict(x) != y))
    return float(np.mean(((predict(x) - y) / (spec.label.maximum - spec.label.minimum)) ** 2))
