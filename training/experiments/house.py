"""Regression poison on House: Table III (R), Figs 5d, 6d, 7d and 10."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.roster import GUARD, PUBLISHED
from training.experiments.setting import Ground, Setting, as_cases, by_share_and_rate
from training.experiments.summary import mean_and_spread

__all__ = ["HOUSE"]

_METHODS = (GUARD, PUBLISHED, "trim", "duti", "sever")
_ATTACKS = ("statistical", "optimal-ridge", "stealthy-ridge")
_SHARES = {"small": (0.05, 0.20), "paper": (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)}
_FEW = {"small": (0.005,), "paper": (0.005, 0.01, 0.02, 0.03, 0.04)}


def _cases(scale: Scale) -> tuple[Case, ...]:
    return as_cases([*by_share_and_rate("house", _ATTACKS, _METHODS, _SHARES[scale]), *_few(scale)])


def _few(scale: Scale) -> list[Setting]:
    """Fig. 10. Our guard refuses to learn from fewer than 30 rows."""
    return [
        Setting(
            ground=(ground := Ground(data="house", trusted=share)),
            attack=_ATTACKS[0],
            methods=_METHODS[:2] if _enough(ground) else (PUBLISHED,),
            damage=False,
        )
        for share in _FEW[scale]
    ]


def _enough(ground: Ground) -> bool:
    """2.5 % of |So| = 1226 are 30 rows."""
    return ground.trusted >= 0.025


HOUSE = Experiment(
    name="house",
    figure="regression poison on House: the guard, De-Pois as published and baselines, by trusted share and rate",
    cases=_cases,
    seeds={"small": 3, "paper": 10},
    run=run_settings,
    summarise=mean_and_spread,
)
"""1022 clean training rows, 204 poisoned ones at the usual rate."""
