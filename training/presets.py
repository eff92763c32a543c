"""How much work a training job does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PRESETS", "Preset", "PresetName"]

PresetName = Literal["fast", "standard", "paper"]
"""`fast` for a first look, `standard` for production, `paper` for the printed schedules."""


@dataclass(frozen=True)
class Preset:
    """Budgets of one training job, in optimiser steps.

    `augment`: cGAN; `mimic`: generator; `network`: each small network; `adversarial`: the adversarially trained one.
    `folds`: cross-fitted folds where rows are too few to hold some out.
    """

    name: PresetName
    augment: int
    mimic: int
    network: int
    adversarial: int
    folds: int
    batch: int = 128


PRESETS: dict[PresetName, Preset] = {
    "fast": Preset("fast", augment=200, mimic=100, network=300, adversarial=200, folds=3, batch=64),
    "standard": Preset("standard", augment=1000, mimic=500, network=700, adversarial=700, folds=5),
    "paper": Preset("paper", augment=2000, mimic=2000, network=2000, adversarial=2000, folds=5),
}
