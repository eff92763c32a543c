"""Poison among the trusted rows: Fig. 11."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.roster import GUARD, PUBLISHED
from training.experiments.setting import Ground, Setting, as_cases
from training.experiments.summary import mean_and_spread

__all__ = ["TRUSTED_POISON"]

_ATTACKS = {"fourclass": "random-flip", "house": "statistical"}
_DIRTY = {"small": (0.0, 0.10, 0.30), "paper": (0.0, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30)}
_PRESET = {"small": "fast", "paper": "standard"}


def _cases(scale: Scale) -> tuple[Case, ...]:
    return as_cases(
        Setting(
            ground=Ground.model_validate(
                {"data": data, "trusted": 0.20, "dirty": share, "dirty_by": attack, "preset": _PRESET[scale]}
            ),
            attack=attack,
            methods=(GUARD, PUBLISHED),
            damage=False,
        )
        for data, attack in _ATTACKS.items()
        for share in _DIRTY[scale]
    )


TRUSTED_POISON = Experiment(
    name="trusted-poison",
    figure="what is left of the guard, and of De-Pois as published, when part of the trusted rows is poison",
    cases=_cases,
    seeds={"small": 2, "paper": 5},
    run=run_settings,
    summarise=mean_and_spread,
)
"""Of each attack the same kind of poison is in St and in So."""
