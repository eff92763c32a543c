"""The one interface of all members: learn from trusted rows, hand back a scorer with its calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.spec import InputSpec
from training.augmenters import AugmenterName
from training.folds import FoldPlan
from training.presets import Preset
from training.progress import Progress

__all__ = ["FittedMember", "Member", "TrustedData"]


@dataclass(frozen=True)
class TrustedData:
    """What a member may learn from: preprocessed trusted rows on the training device, and how they are split.

    `z`: float32 (n, d) for tables, (n, channels, height, width) in [0, 1] for images; `y`: int64 (n,) class index, or
    float32 (n,) standardised regression label; `classes`: number of classes, 0 for regression. `augmenter`: which one
    makes synthetic rows for the members that learn from them.
    """

    z: Tensor
    y: Tensor
    classes: int
    spec: InputSpec
    plan: FoldPlan
    preset: Preset
    seed: int
    device: torch.device
    progress: Progress
    augmenter: AugmenterName = "cgan"


@dataclass(frozen=True)
class FittedMember:
    """A trained member.

    `scorer`: module whose forward(z, y) returns (batch,) float32, higher is more suspicious. `calibration`: float64
    (len(plan.calibration),), the score of each calibration row by a model that never saw that row or its twin.
    `curves`: named training curves for the report. `suggest`: module whose forward(z) returns the label that the
    trusted data speak for, as class scores (batch, classes) or a standardised value (batch,); None where it has none.
    `fold_scorers`: one scorer per fold of the plan, which never saw that fold's calibration rows, to measure what the
    member is worth; empty where rows were held out, since `scorer` itself never saw them.
    `boundary`: mean, standard deviation and z of the critic on S_aug (§IV-C); the mimic alone has it.
    """

    scorer: nn.Module
    calibration: NDArray[np.float64]
    curves: dict[str, list[float]] = field(default_factory=dict)
    suggest: nn.Module | None = None
    fold_scorers: tuple[nn.Module, ...] = ()
    boundary: tuple[float, float, float] | None = None


def _full_share(spec: InputSpec, rows: int) -> float:  # noqa: ARG001 – the interface
    return 1.0


@dataclass(frozen=True)
class Member:
    """A kind of member: its name in manifests and verdicts, where it applies, and how it is fitted.

    `blind_to` says in one sentence what it cannot see. `applies` answers from the specification and the number of rows
    alone, and so does `weight`: its share of the false-alarm budget relative to the other members, in (0, 1].
    """

    name: str
    description: str
    blind_to: str
    applies: Callable[[InputSpec, int], bool]
    fit: Callable[[TrustedData], FittedMember]
    weight: Callable[[InputSpec, int], float] = _full_share
