"""The mimic as a member: −D_w(x|y), cross-fitted, with De-Pois's own boundary beside it (§IV)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from guard.spec import InputSpec
from training.augmenters import AUGMENTERS
from training.boundary import fit_boundary
from training.depois import DePois, augmenter_settings, fit_depois, mimic_settings, synthetic_rows
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit
from training.networks import score_rows
from training.rows import Rows

__all__ = ["MIMIC", "MOST_STOP_ROWS", "STOP_SHARE"]

STOP_SHARE = 0.2
"""Share of a fold's training rows that only decide when its mimic stops."""

MOST_STOP_ROWS = 500
"""Beyond it the stop rule gains nothing and the augmenter loses rows."""


class _Standardised(nn.Module):
    """−(D(x|y) − μ) / σ with μ and σ on the augmented rows that the critic learned from."""

    mean: Tensor
    spread: Tensor

    def __init__(self, fitted: DePois) -> None:
        super().__init__()
        self.critic = fitted.critic
        self.register_buffer("mean", torch.tensor(fitted.boundary.mean))
        self.register_buffer("spread", torch.tensor(max(fitted.boundary.std, 1e-6)))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores (n,), higher is more suspicious."""
        score: Tensor = (self.mean - self.critic(z, y)) / self.spread
        return score


def _applies(spec: InputSpec, rows: int) -> bool:  # noqa: ARG001 – the interface
    return True


def _fit(data: TrustedData) -> FittedMember:
    """−(D_w(x|y) − μ) / σ, averaged over the folds' critics.

    Each critic is standardised by its own augmented rows: a critic's value is defined up to a constant and each fold's
    has its own spread, so that averaged raw one would drown the others, and calibration rows, each scored by one of
    them, would not compare. Augmenter and critic of a fold learn from its training rows alone.
    """
    fitted: list[DePois] = []

    def learn(z: Tensor, y: Tensor, seed: int, name: str) -> tuple[nn.Module, list[float]]:
        fitted.append(_fit_fold(data, Rows(z, y, data.classes), seed, name))
        return _Standardised(fitted[-1]).to(data.device).eval(), []

    member = cross_fit(data, learn).member()
    boundary = fit_boundary(
        -np.concatenate([score_rows(member.scorer, one.augmented.z, one.augmented.y) for one in fitted])
    )
    curves = {
        f"{name}, fold {k}": values  # a training too short for a first check leaves a curve without points
        for k, one in enumerate(fitted, start=1)
        for name, values in one.curves.items()
        if values
    }
    served = member.scorer.eval()
    return replace(member, scorer=served, curves=curves, boundary=(boundary.mean, boundary.std, boundary.z))


def _fit_fold(data: TrustedData, rows: Rows, seed: int, name: str) -> DePois:
    """Sets the stop rule's rows aside, then fits augmenter, mimic and boundary on the others."""
    preset, folds = data.preset, len(data.plan.folds)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(rows), generator=generator)
    stop = 0 if preset.published else min(round(STOP_SHARE * len(rows)), MOST_STOP_ROWS)
    teach = rows.select(order[stop:])
    return fit_depois(
        teach,
        AUGMENTERS[data.augmenter](augmenter_settings(preset, folds), data.progress),
        synthetic_rows(preset, teach),
        mimic_settings(preset, data.classes, folds),
        generator,
        held_out=rows.select(order[:stop]) if stop else None,
        progress=data.progress,
        name=name,
    )


def _weight(spec: InputSpec, rows: int) -> float:  # noqa: ARG001 – the interface
    return 0.1


MIMIC = Member(
    name="mimic",
    description="De-Pois's own mimic model: the critic of a conditional WGAN-GP trained on augmented trusted data",
    blind_to="most label flips among similar classes: the critic never sees a real sample under a wrong label",
    weight=_weight,
    applies=_applies,
    fit=_fit,
)
"""The paper's method as one member among others; its weight is small because alone it is weak."""
