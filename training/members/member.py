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
from training.rows import Rows

__all__ = ["FittedMember", "Member", "PseudoLabelled", "StreamGain", "TrustedData"]


@dataclass(frozen=True)
class TrustedData:
    """What a member may learn from: preprocessed trusted rows on the training device, and how they are split.

    `z`: float32 (n, d) for tables, (n, channels, height, width) in [0, 1] for images; `y`: int64 (n,) class index, or
    float32 (n,) standardised regression label; `classes`: number of classes, 0 for regression. `augmenter`: which one
    makes synthetic rows for the members that learn from them. `unlabelled`: float32 (m, …) distinct rows of the stream,
    encoded as `z`, none of them equal to a trusted one: any of them may come from an attacker. None without a stream.
    `pseudo`: some of them with labels that trusted rows gave them, for members that learn labels; None where there are
    none.
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
    unlabelled: Tensor | None = None
    pseudo: PseudoLabelled | None = None


@dataclass(frozen=True)
class StreamGain:
    """What the unlabelled rows did for one member, measured on trusted labels that it had not seen.

    `rows`: how many took part; `measure`: what was compared, less is better; `without` and `beside`: of the member that
    learned from trusted rows alone, and from both. It serves without them where they did not help (`kept` is False).
    """

    rows: int
    measure: str
    without: float
    beside: float

    @property
    def kept(self) -> bool:
        """Whether the unlabelled rows helped."""
        return self.beside < self.without


@dataclass(frozen=True)
class PseudoLabelled:
    """For each fold unlabelled rows under the labels that its training rows gave them; and what that is worth."""

    rows: tuple[Rows, ...]
    gain: StreamGain

    def beside(self, fold: int) -> Rows | None:
        """What to learn from beside that fold's training rows: nothing where it does not help."""
        return self.rows[fold] if self.gain.kept and len(self.rows[fold]) else None


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
    `stream`: what unlabelled rows did for it; None where there were none or it does not learn from them.
    """

    scorer: nn.Module
    calibration: NDArray[np.float64]
    curves: dict[str, list[float]] = field(default_factory=dict)
    suggest: nn.Module | None = None
    fold_scorers: tuple[nn.Module, ...] = ()
    boundary: tuple[float, float, float] | None = None
    stream: StreamGain | None = None


def _full_share(spec: InputSpec, rows: int) -> float:  # noqa: ARG001 – the interface
    return 1.0


@dataclass(frozen=True)
class Member:
    """A kind of member: its name in manifests and verdicts, where it applies, and how it is fitted.

    `blind_to` says in one sentence what it cannot see. `applies` answers from the specification and the number of rows
    alone, and so does `weight`: its share of the false-alarm budget relative to the other members, in (0, 1].
    `beside_spread`: what that is multiplied by where `gp` has spread the labels over unlabelled rows.
    """

    name: str
    description: str
    blind_to: str
    applies: Callable[[InputSpec, int], bool]
    fit: Callable[[TrustedData], FittedMember]
    weight: Callable[[InputSpec, int], float] = _full_share
    beside_spread: float = 1.0
