"""Poisoned CIFAR-10 behind its codec: Table III and Figs 5a and 5b, 6 and 7 (TCL and pGAN), and Fig. 3's histogram."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.roster import GUARD, PUBLISHED
from training.experiments.setting import DEVICES, Ground, Setting, as_cases
from training.experiments.summary import mean_and_spread

__all__ = ["CIFAR10"]

_METHODS = (GUARD, PUBLISHED, "centroid", "deep-knn", "sever")
_TCL = "convex-polytope-25"
_ATTACKS = ("feature-collision-25", "bullseye-polytope-25", _TCL, "gradient-matching-25", "pgan")
_SHARES = {"small": (0.20,), "paper": (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)}
_RATES = {"small": (), "paper": (0.05, 0.10, 0.15, 0.25, 0.30)}
_CLEAN_ROWS = {"small": 2_500, "paper": None}


def _cases(scale: Scale) -> tuple[Case, ...]:
    rows, device = _CLEAN_ROWS[scale], DEVICES[scale]
    table = [
        Setting(
            ground=Ground(data="cifar10", trusted=share, clean_rows=rows, device=device),
            attack=attack,
            methods=_METHODS,
            histogram=attack == _TCL and share == 0.20,
        )
        for share in _SHARES[scale]
        for attack in _ATTACKS
    ]
    fixed = Ground(data="cifar10", trusted=0.20, clean_rows=rows, device=device)
    rates = [Setting(ground=fixed, attack=_TCL, methods=_METHODS, rate=rate, damage=False) for rate in _RATES[scale]]
    return as_cases([*table, *rates])


CIFAR10 = Experiment(
    name="cifar10",
    figure="clean-label and generated poison on CIFAR-10 behind JPEG: the guard, De-Pois as published and baselines",
    cases=_cases,
    seeds={"small": 2, "paper": 5},
    run=run_settings,
    summarise=mean_and_spread,
)
"""Small: 2,500 clean training rows, 500 poisoned ones, 600 trusted; no pixel moves by more than 25 grey levels."""
