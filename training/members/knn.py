"""knn: distance to trusted samples of the claimed class against distance to those of any other class."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from guard.spec import InputSpec
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit
from training.networks import score_rows

__all__ = ["KNN", "NeighbourRatio"]

BANK = 2000
"""Trusted rows that are kept to be compared with: one query costs BANK · d multiplications and the graph BANK · d · 4
bytes, 400 kB at d = 50."""


def _applies(spec: InputSpec, rows: int) -> bool:  # noqa: ARG001 – the interface
    return spec.task == "classification" and spec.input.kind == "table"


def _neighbours(rows: int) -> int:
    """k: 1 below 100 rows, where a class may have only a few islands of one row; 3 from there on.

    On two moons (noise .2, 145 rows, confident flips, α = 1 %) k = 3 caught .83 and k = 1 .65; on random islands with
    36 rows .51 and .57.
    """
    return 1 if rows < 100 else 3


class NeighbourRatio(nn.Module):
    """log(mean distance to the k nearest of the claimed class / the same of the nearest other class).

    `bank`: (m, d) trusted rows, `labels`: int64 (m,). A class that has fewer than k rows is measured by those it has;
    a claimed class without rows, and a bank of one class only, by the spread of the bank in place of the distance.
    To both distances the usual distance between neighbours is added: below it, which is nearer is chance, and a twin of
    a trusted row must score neither −∞ nor +∞. It keeps the tail of clean scores light.
    """

    bank: Tensor
    far: Tensor
    near: Tensor

    def __init__(self, bank: Tensor, labels: Tensor, classes: int, k: int) -> None:
        super().__init__()
        order = torch.argsort(labels, stable=True)
        self.register_buffer("bank", bank[order])
        self.register_buffer("far", (bank - bank.mean(0)).norm(dim=1).max().reshape(1, 1) * 2)
        self.register_buffer("near", _usual_distance(bank))
        ends = np.cumsum([0, *torch.bincount(labels, minlength=classes).tolist()])
        self.slices = [(int(a), int(b)) for a, b in pairwise(ends)]
        self.k = k

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores a batch: (batch, d), int64 (batch,) → (batch,)."""
        return self.compare(_distances(z, self.bank), y)

    def compare(self, distance: Tensor, y: Tensor) -> Tensor:
        """The score from distances (batch, m) to the bank, whose unusable entries are infinite."""
        per_class = torch.cat([self._nearest(distance[:, a:b]) for a, b in self.slices], dim=1)
        claimed = nn.functional.one_hot(y, len(self.slices)).to(torch.bool)
        own = torch.where(claimed, per_class, 0.0).sum(1)
        other = torch.where(claimed, torch.inf, per_class).amin(1)
        return torch.log(own + self.near) - torch.log(other + self.near)

    def _nearest(self, distance: Tensor) -> Tensor:
        if distance.shape[1] == 0:
            return self.far.expand(distance.shape[0], 1)
        nearest = distance.topk(min(self.k, distance.shape[1]), dim=1, largest=False).values
        found = torch.isfinite(nearest)
        total = torch.where(found, nearest, 0.0).sum(1, keepdim=True)
        count = found.sum(1, keepdim=True)
        return torch.where(count > 0, total / count.clamp_min(1), self.far)


def _usual_distance(bank: Tensor) -> Tensor:
    """The median distance of a row to its nearest neighbour, twins left aside; 1 where all rows are twins."""
    distance = torch.cdist(bank, bank, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distance.masked_fill(distance == 0, torch.inf).amin(1)
    known = nearest[torch.isfinite(nearest)]
    return known.median() if len(known) else torch.ones((), device=bank.device)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (len(a), len(b)) by one matrix product: what serving can afford.

    In double precision: at a twin of a trusted row the terms cancel, and what single precision leaves of them (about
    1e-3) is another number in every runtime.
    """
    a, b = a.double(), b.double()
    square = (a * a).sum(1, keepdim=True) - 2 * a @ b.T + (b * b).sum(1)
    return square.clamp_min(0).sqrt().float()


def _fit(data: TrustedData) -> FittedMember:
    """The distance ratio to trusted rows; no training, one bank.

    Where every row counts the bank holds all of them, and a calibration row is scored by the bank without itself and
    its twins (rows at distance 0, as folds keep identical inputs together). Leaving out whole folds instead would
    calibrate with sparser banks than those that serve, and hold fewer samples than α allows.
    """

    def learn(z: Tensor, y: Tensor, seed: int, name: str) -> tuple[nn.Module, list[float]]:  # noqa: ARG001 – the interface
        rows = torch.from_numpy(np.sort(np.random.default_rng(seed).permutation(len(z))[:BANK])).to(z.device)
        return NeighbourRatio(z[rows], y[rows], data.classes, _neighbours(len(data.y))).eval(), []

    fitted = cross_fit(data, learn)
    if data.plan.held_out:
        return fitted.member()
    scorer = NeighbourRatio(data.z, data.y, data.classes, _neighbours(len(data.y)))
    left_out = score_rows(_LeaveOneOut(scorer), data.z, data.y)
    return FittedMember(scorer.eval(), left_out[data.plan.calibration], fold_scorers=fitted.scorers)


class _LeaveOneOut(nn.Module):
    """Scores rows of the bank itself as if they and their twins were not in it."""

    def __init__(self, scorer: NeighbourRatio) -> None:
        super().__init__()
        self.scorer = scorer

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        # Differences, not the matrix product: a twin must come out as exactly 0.
        twin = torch.cdist(z, self.scorer.bank, compute_mode="donot_use_mm_for_euclid_dist") == 0
        return self.scorer.compare(_distances(z, self.scorer.bank).masked_fill(twin, torch.inf), y)


KNN = Member(
    name="knn",
    description="distance to trusted samples of the claimed class against distance to the other classes",
    blind_to="samples that lie nearest to their claimed class, and regions without trusted samples",
    applies=_applies,
    fit=_fit,
    beside_spread=0.2,
)
"""Where labels are spread `gp` sees the same and more: on development data a full share of knn's cost .05 of the recall
of confident flips (Fourclass, 36 trusted rows), a fifth of it nothing."""
