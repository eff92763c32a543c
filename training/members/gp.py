"""gp: how far a claimed label lies from what a Gaussian process on all the other trusted rows expects."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.spec import InputSpec
from training.gaussian_process import GaussianProcess, Kernel, choose_kernel, leave_out
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit

__all__ = ["GP"]

_MOST_ROWS = 1000
"""From here on n³ of the solution and n² of the graph (4 MB at 1000 rows) stop being small, and networks learn well."""


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


def _fit(data: TrustedData) -> FittedMember:
    """Gaussian process regression on one-hot classes (Rasmussen and Williams 2006, §6.5), one kernel for all of them.

    Not for regression: on development data it caught less than `residual`, whose weakness it shares.
    The process that scores calibration row i knows every row but i and its twins (closed form, so that calibration
    and serving differ by one row, not by a fold), under a kernel chosen on the training rows of i's fold alone.
    """

    def learn(z: Tensor, y: Tensor, seed: int, name: str) -> tuple[nn.Module, list[float]]:  # noqa: ARG001 – the interface
        return _learn(z.double().cpu().numpy(), _targets(y, data.classes), data.seed).to(data.device).eval(), []

    fitted = cross_fit(data, learn)
    if data.plan.held_out:
        return fitted.member()
    serving, _ = learn(data.z, data.y, data.seed, "all rows")
    left_out = _leave_one_out(data, [cast("_Margin", scorer).process.kernel for scorer in fitted.scorers])
    return FittedMember(serving, left_out[data.plan.calibration], fold_scorers=fitted.scorers)


def _learn(z: NDArray[np.float64], targets: NDArray[np.float64], seed: int) -> _Margin:
    return _Margin(GaussianProcess(z, targets, choose_kernel(z, targets, seed)))


def _leave_one_out(data: TrustedData, kernels: list[Kernel]) -> NDArray[np.float64]:
    """The score of every row by all others, under the kernel of the fold that it calibrates: float64 (n,)."""
    z, targets = data.z.double().cpu().numpy(), _targets(data.y, data.classes)
    scores = np.full(len(z), np.nan)
    for fold, kernel in zip(data.plan.folds, kernels, strict=True):
        mean, variance = (torch.from_numpy(part)[fold.calibrate] for part in leave_out(z, targets, kernel))
        scores[fold.calibrate] = _margin(mean, variance, data.y.cpu()[fold.calibrate]).numpy()
    return scores


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
