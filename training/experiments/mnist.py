"""Poisoned MNIST: flips, perturbed images, gradient poison; Figs 3 and 9, and the reimplementation's run."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.roster import GUARD, PUBLISHED
from training.experiments.setting import DEVICES, Ground, Setting, as_cases
from training.experiments.summary import mean_and_spread

__all__ = ["MNIST"]

_METHODS = (GUARD, PUBLISHED, "centroid", "deep-knn", "label-sanitisation", "sever")
_ATTACKS = ("random-flip", "confident-flip", "runner-up-flip", "gradient-sign", "projected-gradient")
_SHARES = (0.05, 0.20)
_CLEAN_ROWS = {"small": 5_000, "paper": None}


def _cases(scale: Scale) -> tuple[Case, ...]:
    rows, device = _CLEAN_ROWS[scale], DEVICES[scale]
    grounds = [Ground(data="mnist", trusted=share, clean_rows=rows, device=device) for share in _SHARES]
    return as_cases(
        Setting(ground=ground, attack=attack, methods=_METHODS) for ground in grounds for attack in _ATTACKS
    )


MNIST = Experiment(
    name="mnist",
    figure="flips, perturbed images and gradient poison on MNIST: the guard, De-Pois as published and baselines",
    cases=_cases,
    seeds={"small": 2, "paper": 5},
    run=run_settings,
    summarise=mean_and_spread,
)
"""Small: 5,000 clean training rows, 1,000 poisoned ones."""
