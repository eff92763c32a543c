"""The three attacks of the first tables: confident flips on Fourclass, random flips on MNIST, StatP on House."""

from __future__ import annotations

from functools import partial

from training.attacks import Attack
from training.attacks.confident_flip import CONFIDENT_FLIP
from training.attacks.random_flip import RANDOM_FLIP
from training.attacks.statistical import STATISTICAL
from training.datasets import load_dataset
from training.experiments.detection import detect
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.summary import mean_and_spread
from training.presets import PresetName
from training.progress import Progress

__all__ = ["CONFIDENT_FLIPS_FOURCLASS", "RANDOM_FLIPS_MNIST", "STATP_HOUSE"]

_PRESET: PresetName = "standard"


def _shares(data: str, percents: tuple[int, ...], _scale: Scale) -> tuple[Case, ...]:
    """One case for each trusted share of |So|, at every scale."""
    return tuple(Case(f"{p} %", {"data": data, "trusted_share": p / 100, "preset": _PRESET}) for p in percents)


def _against(attack: Attack, case: Case, seed: int, progress: Progress) -> Row:
    share = float(str(case.settings["trusted_share"]))
    return detect(load_dataset(str(case.settings["data"])), attack, share, _PRESET, seed, progress)


CONFIDENT_FLIPS_FOURCLASS = Experiment(
    name="confident-flips-fourclass",
    figure="recall of confident label flips on Fourclass at 5, 10 and 20 % trusted",
    cases=partial(_shares, "fourclass", (5, 10, 20)),
    seeds={"small": 5, "full": 10},
    run=partial(_against, CONFIDENT_FLIP),
    summarise=mean_and_spread,
)
"""LFconf; 121 flips among 603 clean training rows."""

RANDOM_FLIPS_MNIST = Experiment(
    name="random-flips-mnist",
    figure="recall of random label flips on MNIST at 20 % trusted (12,000 rows)",
    cases=partial(_shares, "mnist", (20,)),
    seeds={"small": 1, "full": 5},
    run=partial(_against, RANDOM_FLIP),
    summarise=mean_and_spread,
)
"""LFrand; 4,000 of the 10,000 flips and 10,000 of the 20,000 clean test rows are scored."""

STATP_HOUSE = Experiment(
    name="statp-house",
    figure="recall of statistical regression poison on House at 5 and 20 % trusted",
    cases=partial(_shares, "house", (5, 20)),
    seeds={"small": 3, "full": 10},
    run=partial(_against, STATISTICAL),
    summarise=mean_and_spread,
)
"""StatP; 204 invented rows beside 1022 clean training rows."""
