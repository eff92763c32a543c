"""Synthetic rows beside trusted ones: what the augmenter of a job makes, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from training.augmenters import AUGMENTERS, AugmenterName
from training.choose_augmenter import AugmenterChoice
from training.depois import augmenter_settings
from training.members.member import TrustedData
from training.quality import Quality, measure_quality
from training.rows import Rows

__all__ = ["Samples", "draw_samples"]

_SHOWN = 400
_QUALITY_STEPS = 200


@dataclass(frozen=True)
class Samples:
    """Trusted and synthetic rows side by side, what made the synthetic ones, and how good they are."""

    name: AugmenterName
    real: Rows
    synthetic: Rows
    quality: Quality


def draw_samples(data: TrustedData, choice: AugmenterChoice | None) -> Samples | None:
    """Samples of the augmenter that `data` names, learned from the first fold's training rows.

    Where `choice` kept none they are those of the runner-up; None where the operator wants none.
    """
    name = data.augmenter
    if name == "none":
        if choice is None:
            return None
        name = min((other for other in choice.losses if other != "none"), key=lambda each: np.mean(choice.losses[each]))
    real = Rows(data.z, data.y, data.classes).select(torch.from_numpy(data.plan.folds[0].train))
    make = AUGMENTERS[name](augmenter_settings(data.preset, len(data.plan.folds)), data.progress)
    generator = torch.Generator().manual_seed(data.seed)
    synthetic = make(real, _SHOWN, generator).rows
    real = real.select(torch.randperm(len(real), generator=generator)[:_SHOWN])
    quality = measure_quality(real, synthetic, seed=data.seed, steps=_QUALITY_STEPS, progress=data.progress)
    return Samples(name, real, synthetic, quality)
