"""gp: how far a claimed label lies from what a Gaussian process on all the other trusted rows expects."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.spec import InputSpec
from training.gaussian_process import GaussianProcess, choose_kernel, leave_out
from training.members.member import FittedMember, Member, TrustedData

__all__ = ["GP"]

MOST_ROWS = 1000
"""From here on n³ of the solution and n² of the graph (4 MB at 1000 rows) stop being small, and networks learn well."""


def _applies(spec: InputSpec, rows: int) -> bool:
    return spec.input.kind == "table" and rows < MOST_ROWS


class _Margin(nn.Module):
    """(largest mean of another class − mean of the claimed class) / standard deviation: (batch,)."""

    def forward(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        claimed = nn.functional.one_hot(y, mean.shape[1]).to(torch.bool)
        own = torch.where(claimed, mean, 0.0).sum(1)
        return (torch.where(claimed, -torch.inf, mean).amax(1) - own) / variance.sqrt()


class _Residual(nn.Module):
    """|label − mean| / standard deviation: (batch,)."""

    def forward(self, mean: Tensor, variance: Tensor, y: Tensor) -> Tensor:
        return (y - mean[:, 0]).abs() / variance.sqrt()


class _Score(nn.Module):
    """The head's score of a process's prediction."""

    def __init__(self, process: GaussianProcess, head: nn.Module) -> None:
        super().__init__()
        self.process = process
        self.head = head

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        score: Tensor = self.head(*self.process(z), y)
        return score


def _fit(data: TrustedData) -> FittedMember:
    """Gaussian process on trusted rows; classes as one-hot outputs of one kernel, regression labels as they are.

    The process that scores calibration row i knows every row but i and its twins (closed form, so that calibration
    and serving differ by one row, not by a fold), under a kernel chosen on the training rows of i's fold alone.
    """
    z, targets = data.z.double().cpu().numpy(), _targets(data)
    head: nn.Module = _Margin() if data.classes else _Residual()
    calibration, scorers = np.full(len(z), np.nan), []
    for fold in data.plan.folds:
        kernel = choose_kernel(z[fold.train], targets[fold.train], data.seed)
        mean, variance = leave_out(z, targets, kernel)
        scores = head(*(torch.from_numpy(part) for part in (mean, variance)), data.y.cpu())
        calibration[fold.calibrate] = scores.numpy()[fold.calibrate]
        scorers.append(_Score(GaussianProcess(z[fold.train], targets[fold.train], kernel), head).to(data.device))
    process = GaussianProcess(z, targets, choose_kernel(z, targets, data.seed))
    serving = _Score(process, head).to(data.device)
    return FittedMember(serving, calibration[data.plan.calibration], fold_scorers=tuple(scorers))


def _targets(data: TrustedData) -> NDArray[np.float64]:
    """(n, t): the label itself, or 1 − 1/classes for the claimed class and −1/classes for the others."""
    y = data.y.cpu().numpy()
    if data.classes == 0:
        return y.astype(np.float64)[:, None]
    one_hot: NDArray[np.float64] = np.eye(data.classes)[y]
    return one_hot - 1 / data.classes


GP = Member(
    name="gp",
    description="distance of the label from a Gaussian process on trusted rows, in its standard deviations",
    blind_to="labels that smooth interpolation between trusted rows would give; regions without trusted rows",
    weight=1.0,
    applies=_applies,
    fit=_fit,
)
