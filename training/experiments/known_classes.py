"""Trusted rows that hold only some of the classes: Fig. 13."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.roster import GUARD, PUBLISHED
from training.experiments.setting import DEVICES, Ground, Setting, as_cases
from training.experiments.summary import mean_and_spread

__all__ = ["KNOWN_CLASSES"]

_KNOWN = {"small": (5,), "paper": (5, 6, 7, 8, 9)}
_CLEAN_ROWS = {"small": 2_000, "paper": None}
_PRESET = {"small": "fast", "paper": "standard"}


def _cases(scale: Scale) -> tuple[Case, ...]:
    sizes = {"clean_rows": _CLEAN_ROWS[scale], "preset": _PRESET[scale], "device": DEVICES[scale]}
    shared = {"data": "mnist", "trusted": 0.20} | sizes
    return as_cases(
        Setting(
            ground=Ground.model_validate(shared | {"known": known}),
            attack="projected-gradient",
            methods=(GUARD, PUBLISHED),
            damage=False,
        )
        for known in (*_KNOWN[scale], None)
    )


KNOWN_CLASSES = Experiment(
    name="known-classes",
    figure="the guard and De-Pois as published on MNIST when the trusted rows hold only some of the ten classes",
    cases=_cases,
    seeds={"small": 1, "paper": 5},
    run=run_settings,
    summarise=mean_and_spread,
)
"""A class that the trusted rows do not hold is held by our guard as `unknown_label`, clean or not."""
