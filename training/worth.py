"""What each member is worth, measured on trusted data alone. A self-test of the bundle, no claim about attacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from guard.calibration import Fusion
from training.members.corruption import Arrival
from training.members.member import FittedMember, TrustedData
from training.networks import score_rows

__all__ = ["FUSED", "Challenge", "Worth", "challenges", "measure_worth"]

FUSED = "fused"
"""The name under which all members together stand beside them."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Challenge:
    """The calibration rows, every one of them spoilt, in the order of the plan.

    `z`: float32 (n, …), `y`: (n,), both as members see them.
    """

    name: str
    z: Tensor
    y: Tensor


@dataclass(frozen=True)
class Worth:
    """How well `member` tells calibration rows from their spoilt copies.

    `auroc` in [0, 1]; `recall`: share of the spoilt copies that would be held at α, by this member alone or by all
    of them (`fused`).
    """

    challenge: str
    member: str
    auroc: float
    recall: float


def challenges(data: TrustedData, wrong: Tensor, seed: int) -> tuple[Challenge, ...]:
    """`wrong label`: the calibration rows with `wrong` (n,) as their labels; for images also `corrupted image`.

    Corruptions keep the label; they are random, from the family that the integrity member learns from, drawn anew, and
    sent as the trusted images were.
    """
    z, y = data.z[data.plan.calibration], data.y[data.plan.calibration]
    relabelled = Challenge("wrong label", z, wrong)
    if data.spec.input.kind != "image":
        return (relabelled,)
    arrival, generator = Arrival.of(data.z), torch.Generator(z.device).manual_seed(seed)
    corrupted = torch.cat([arrival.corrupted(part, generator) for part in torch.split(z, 256)])
    return relabelled, Challenge("corrupted image", corrupted, y)


def measure_worth(
    data: TrustedData,
    challenge: Challenge,
    members: Sequence[tuple[str, FittedMember]],
    fusion: Fusion,
) -> list[Worth]:
    """The worth of every member against one challenge, and of all together, by models that never saw the row.

    Clean are the calibration rows with their out-of-fold scores, spoilt the same rows in `challenge`.
    """
    clean = np.stack([fitted.calibration for _, fitted in members], axis=1)
    spoilt = np.stack([_out_of_fold(data, fitted, challenge) for _, fitted in members], axis=1)
    p_clean, p_spoilt = fusion.member_p_values(clean), fusion.member_p_values(spoilt)
    fused_clean = fusion.judge(clean, _classes(data, data.y[data.plan.calibration])).p_values
    fused_spoilt = fusion.judge(spoilt, _classes(data, challenge.y)).p_values
    names = [name for name, _ in members]
    alone = zip(names, p_clean.T, p_spoilt.T, strict=True)
    return [_worth(challenge, *each, fusion.alpha) for each in (*alone, (FUSED, fused_clean, fused_spoilt))]


def _worth(challenge: Challenge, name: str, clean: Floats, spoilt: Floats, alpha: float) -> Worth:
    truth = np.repeat([0, 1], [len(clean), len(spoilt)])
    auroc = roc_auc_score(truth, -np.log(np.concatenate([clean, spoilt])))
    return Worth(challenge.name, name, float(auroc), float(np.mean(spoilt <= alpha)))


def _out_of_fold(data: TrustedData, fitted: FittedMember, challenge: Challenge) -> Floats:
    scores = np.full(len(challenge.y), np.nan)
    scorers = fitted.fold_scorers or (fitted.scorer,) * len(data.plan.folds)
    for scorer, fold in zip(scorers, data.plan.folds, strict=True):
        places = np.searchsorted(data.plan.calibration, fold.calibrate)
        scores[places] = score_rows(scorer, challenge.z[places], challenge.y[places])
    return scores


def _classes(data: TrustedData, y: Tensor) -> NDArray[np.int64]:
    return y.cpu().numpy() if data.classes else np.zeros(len(y), np.int64)
