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
    `folds`: cross-fitted folds where rows are too few to hold some out. `synthetic`: rows of |Ss'| per trusted row
    (4 is the paper's, whose St is a fifth of So). `published`: augmenter and mimic spend their whole budget in every
    fold, as printed; otherwise the folds share it, and trusted rows decide when to stop.
    """

    name: PresetName
    augment: int
    mimic: int
    network: int
    adversarial: int
    folds: int
    batch: int = 128
    synthetic: float = 4.0
    published: bool = False

    def share(self, budget: int, folds: int) -> int:
        """What one of `folds` fits may spend of a budget that the folds share."""
        return budget if self.published else max(budget // folds, 1)


PRESETS: dict[PresetName, Preset] = {
    "fast": Preset("fast", augment=100, mimic=180, network=300, adversarial=200, folds=3, batch=64),
    "standard": Preset("standard", augment=1000, mimic=800, network=700, adversarial=700, folds=5),
    "paper": Preset("paper", augment=2000, mimic=2000, network=2000, adversarial=2000, folds=5, published=True),
}
