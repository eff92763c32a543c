"""Poisoned MNIST: flips, perturbed images, gradient poison; Figs 3 and 9, and the reimplementation's run."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.roster import GUARD, PUBLISHED
from training.experiments.setting import DEVICES, Ground, Setting, as_cases
from training.experiments.summary import mean_and_spread

__all__ = ["MNIST"]

_METHODS = (GUARD, PUBLISHED, "centroid", "deep-knn", "label-sanitisation", "sever")
_GP = ("direct-gradient", "generative")
_ATTACKS = ("random-flip", "runner-up-flip", "gradient-sign", "projected-gradient", "feature-collision", *_GP)
_RATES = {"small": (0.10, 0.30), "paper": (0.05, 0.10, 0.15, 0.25, 0.30)}
_SHARES = (0.05, 0.20)
_CLEAN_ROWS = {"small": 8_500, "paper": None}
_PAIR_ROWS = {"small": 3_000, "paper": None}


def _cases(scale: Scale) -> tuple[Case, ...]:
    rows, device = _CLEAN_ROWS[scale], DEVICES[scale]
    grounds = [Ground(data="mnist", trusted=share, clean_rows=rows, device=device) for share in _SHARES]
    table = [Setting(ground=ground, attack=attack, methods=_METHODS) for ground in grounds for attack in _ATTACKS]
    return as_cases([*table, *_by_rate(grounds[_SHARES.index(0.20)], scale), _pair(scale)])


def _pair(scale: Scale) -> Setting:
    """PGAN on two digits, as in its own paper."""
    ground = Ground(data="mnist", trusted=0.20, clean_rows=_PAIR_ROWS[scale], classes=(3, 5), device=DEVICES[scale])
    return Setting(ground=ground, attack="pgan", methods=_METHODS)


def _by_rate(ground: Ground, scale: Scale) -> list[Setting]:
    """Fig. 9, and the rate of the reimplementation, 30 %, for both kinds of gradient poison."""
    methods = (GUARD, PUBLISHED, "centroid")
    rates = [(_GP[0], rate) for rate in _RATES[scale]] + [(_GP[1], 0.30)]
    return [Setting(ground=ground, attack=attack, methods=methods, rate=rate, damage=False) for attack, rate in rates]


MNIST = Experiment(
    name="mnist",
    figure="flips, perturbed images and gradient poison on MNIST: the guard, De-Pois as published and baselines",
    cases=_cases,
    seeds={"small": 2, "paper": 5},
    run=run_settings,
    summarise=mean_and_spread,
)
"""Small: 8,500 clean training rows, so that 5 % of |So| are the 510 from which on the guard holds two folds out."""
