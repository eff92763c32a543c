"""Label flips on Fourclass: Table III (LF), Figs 5c, 6c, 7c and 10, with three more kinds of flips."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.roster import GUARD, PUBLISHED, TAUGHT
from training.experiments.setting import Ground, Setting, as_cases, by_share_and_rate
from training.experiments.summary import mean_and_spread

__all__ = ["FOURCLASS"]

_BASELINES = ("centroid", "centroid-untrusted", "deep-knn", "label-sanitisation", "duti", "sever")
_METHODS = (GUARD, TAUGHT, PUBLISHED, *_BASELINES)
_ATTACKS = ("adversarial-flip", "confident-flip", "random-flip", "boundary-flip")
_SHARES = {"small": (0.05, 0.10, 0.20), "paper": (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)}
_FEW = {"small": (0.005,), "paper": (0.005, 0.01, 0.02, 0.03, 0.04)}


def _cases(scale: Scale) -> tuple[Case, ...]:
    table = by_share_and_rate("fourclass", _ATTACKS, _METHODS, _SHARES[scale])
    return as_cases([*table, *_few(scale)])


def _few(scale: Scale) -> list[Setting]:
    """Fig. 10. Our guard refuses to learn from fewer than 30 rows, which 4 % of |So| are here."""
    grounds = [Ground(data="fourclass", trusted=share) for share in _FEW[scale]]
    return [Setting(ground=ground, attack=_ATTACKS[0], methods=(PUBLISHED,), damage=False) for ground in grounds]


FOURCLASS = Experiment(
    name="fourclass",
    figure="label flips on Fourclass: the guard, De-Pois as published and baselines, by trusted share and rate",
    cases=_cases,
    seeds={"small": 5, "paper": 10},
    run=run_settings,
    summarise=mean_and_spread,
)
"""603 clean training rows, 121 flips at the usual rate."""
