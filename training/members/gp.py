"""gp: how far a claimed label lies from what a Gaussian process on all the other trusted rows expects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.spec import InputSpec
from training.gaussian_process import (
    GaussianProcess,
    Kernel,
    choose_kernel,
    leave_out_of,
    log_density,
    rbf,
    search_rows,
)
from training.graph_kernel import GraphKernel, thin
from training.members.member import FittedMember, Member, StreamGain, TrustedData
from training.networks import score_rows

__all__ = ["GP"]

_MOST_ROWS = 1000
"""From here on n³ of the solution and n² of the graph (4 MB at 1000 rows) stop being small, and networks learn well.
Trusted and unlabelled rows together are no more than these, either."""

Floats = NDArray[np.float64]


def _applies(spec: InputSpec, rows: int) -> bool:
    return spec.task == "classification" and spec.input.kind == "table" and rows < _MOST_ROWS


class _Margin(nn.Module):
    """(largest mean of another class − mean of the claimed class) / standard deviation, of a process's prediction."""

    def __init__(self, process: GaussianProcess) -> None:
        super().__init__()
        self.process = process

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        mean, variance = self.process(z)
        return _margin(mean, variance, y)


def _margin(mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
    claimed = nn.functional.one_hot(y, mean.shape[1]).to(torch.bool)
    own = torch.where(claimed, mean, 0.0).sum(1)
    return (torch.where(claimed, -torch.inf, mean).amax(1) - own) / variance.sqrt()


class _Prior(Protocol):
    """A family of kernels: one is chosen by labels, and a process learns under it."""

    def choose(self, z: Floats, targets: Floats, seed: int) -> Kernel: ...

    def gram(self, kernel: Kernel, z: Floats) -> Floats: ...

    def process(self, kernel: Kernel, z: Floats, targets: Floats) -> GaussianProcess: ...


class _Plain:
    """The RBF kernels as they are."""

    def choose(self, z: Floats, targets: Floats, seed: int) -> Kernel:
        return choose_kernel(z, targets, seed)

    def gram(self, kernel: Kernel, z: Floats) -> Floats:
        return rbf(z, z, kernel)

    def process(self, kernel: Kernel, z: Floats, targets: Floats) -> GaussianProcess:
        return GaussianProcess.fit(z, targets, kernel)


def _fit(data: TrustedData) -> FittedMember:
    """Gaussian process regression on one-hot classes (Rasmussen and Williams 2006, §6.5), one kernel for all of them.

    Not for regression: on development data it caught less than `residual`, whose weakness it shares.
    The process that scores calibration row i knows every row but i and its twins (closed form, so that calibration
    and serving differ by one row, not by a fold), under a kernel chosen on the training rows of i's fold alone.

    Unlabelled rows bend the kernel (`training.graph_kernel`) if trusted labels are then likelier, each left out. They
    take part by where they lie. A calibration row is scored under a kernel whose graph knows no row of its fold: as
    clean rows are that come later, and lie no nearer to a row of the graph than chance will have it.
    """
    z, targets = data.z.double().cpu().numpy(), _targets(data.y, data.classes)
    whole, bend, gain = _choose_prior(z, targets, data)
    kernels = [whole.choose(z[fold.train], targets[fold.train], data.seed) for fold in data.plan.folds]
    folds = [(fold, kernel, bend(fold.train)) for fold, kernel in zip(data.plan.folds, kernels, strict=True)]
    scorers = tuple(
        _Margin(prior.process(kernel, z[fold.train], targets[fold.train])).to(data.device).eval()
        for fold, kernel, prior in folds
    )
    if data.plan.held_out:
        held = data.plan.calibration
        return FittedMember(scorers[0], score_rows(scorers[0], data.z[held], data.y[held]), stream=gain)
    scores = np.full(len(z), np.nan)
    for fold, kernel, prior in folds:
        mean, variance = leave_out_of(prior.gram(kernel, z), z, targets, kernel.noise)
        margin = _margin(torch.from_numpy(mean), torch.from_numpy(variance), data.y.cpu())
        scores[fold.calibrate] = margin[fold.calibrate].numpy()
    served = _Margin(whole.process(whole.choose(z, targets, data.seed), z, targets)).to(data.device).eval()
    return FittedMember(served, scores[data.plan.calibration], fold_scorers=scorers, stream=gain)


_Bend = Callable[[NDArray[np.int64]], _Prior]
"""Rows whose place may be known → the family of kernels that knows them."""


def _choose_prior(z: Floats, targets: Floats, data: TrustedData) -> tuple[_Prior, _Bend, StreamGain | None]:
    """The family for all rows, and how to make that of some: bent or plain, whichever finds the labels likelier.

    One kind for all folds, whose scores would not compare otherwise: the calibration owes them one choice of two.
    """
    plain = _Plain()
    if data.unlabelled is None:
        return plain, lambda _: plain, None
    unlabelled = thin(data.unlabelled.double().cpu().numpy(), z, _MOST_ROWS - len(z), data.seed)

    def bend(rows: NDArray[np.int64]) -> _Prior:
        return GraphKernel(np.concatenate([np.unique(z[rows], axis=0), unlabelled]))

    bent = bend(np.arange(len(z)))
    gain = StreamGain(
        rows=len(unlabelled),
        measure="−log density of a label left out",
        without=_loss(plain, z, targets, data.seed),
        beside=_loss(bent, z, targets, data.seed),
    )
    return (bent, bend, gain) if gain.kept else (plain, lambda _: plain, gain)


def _loss(prior: _Prior, z: Floats, targets: Floats, seed: int) -> float:
    """−log density per label when each is left out, under the kernel that suits all rows best, up to a constant."""
    rows, kernel = search_rows(len(z), seed), prior.choose(z, targets, seed)
    return -log_density(prior.gram(kernel, z[rows]), targets[rows], kernel.noise) / len(rows)


def _targets(y: Tensor, classes: int) -> NDArray[np.float64]:
    """(n, classes): 1 − 1/classes for the claimed class, −1/classes for the others; no label sets a prior mean."""
    one_hot: NDArray[np.float64] = np.eye(classes)[y.cpu().numpy()]
    return one_hot - 1 / classes


GP = Member(
    name="gp",
    description="margin of another class over the claimed one by a Gaussian process, in its standard deviations",
    blind_to="labels that smooth interpolation between trusted rows would give; regions without trusted rows",
    applies=_applies,
    fit=_fit,
)
