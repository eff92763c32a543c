"""The large-margin Gaussian mixture in feature space: its head, its loss, and what it says of a claimed label."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from training.networks import body

__all__ = [
    "FEATURES",
    "LIKELIHOOD",
    "MARGIN",
    "GaussianMixtureHead",
    "likelihood_score",
    "log_ratio",
    "margin",
    "mixture_network",
    "row_losses",
]

FEATURES = 16
"""h, the dimensions of feature space."""

MARGIN = 0.3
LIKELIHOOD = 0.02
"""α and λ: of (.1, .1), (.3, .1), (1, .1) and (.3, .02) the best on digits with random flips."""

_NEAR = 0.1
"""Added to both distances: within it all features are alike, and a score must not tend to −∞."""


class GaussianMixtureHead(nn.Module):
    """d_k = ½‖f − μ_k‖² of features f (batch, h) to every class mean: (batch, classes)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(classes, features))

    def forward(self, features: Tensor) -> Tensor:
        """Half the squared distances; their negative is the log-likelihood up to a constant."""
        square = (features * features).sum(1, keepdim=True) - 2 * features @ self.means.T + (self.means**2).sum(1)
        return 0.5 * square


def mixture_network(
    shape: torch.Size, classes: int, build: Callable[[torch.Size, int], nn.Module] = body
) -> nn.Sequential:
    """The features of `build` with the mixture as their head, untrained: a sample of `shape` to (batch, classes)."""
    return nn.Sequential(build(shape, FEATURES), GaussianMixtureHead(FEATURES, classes))


def row_losses(distance: Tensor, y: Tensor, *, margin: float = MARGIN, weight: float = LIKELIHOOD) -> Tensor:
    """CE of logits −(1 + α·1[k = y]) d_k, plus λ d_y, of each row: (batch, classes), int64 (batch,) → (batch,).

    `margin` is α, `weight` λ. The logits of a test sample are −d_k, so that its class is that of the nearest mean.
    """
    claimed = F.one_hot(y, distance.shape[1])
    own = distance.gather(1, y[:, None]).squeeze(1)
    return F.cross_entropy(-distance * (1 + margin * claimed), y, reduction="none") + weight * own


def likelihood_score(distance: Tensor, y: Tensor) -> Tensor:
    """d_y, the negative log-likelihood under the claimed class up to a constant, (batch,)."""
    return _own_and_other(distance, y)[0]


def margin(distance: Tensor, y: Tensor) -> Tensor:
    """d_y − min_{k ≠ y} d_k, (batch,): positive where another class is nearer than the claimed one."""
    own, other = _own_and_other(distance, y)
    return own - other


def log_ratio(distance: Tensor, y: Tensor) -> Tensor:
    """log(d_y / min_{k ≠ y} d_k), both at least .1, (batch,): positive where another class is nearer."""
    own, other = _own_and_other(distance, y)
    return torch.log(own + _NEAR) - torch.log(other + _NEAR)


def _own_and_other(distance: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """d_y and min_{k ≠ y} d_k. Squares that rounding has made negative count as zero."""
    distance = distance.clamp_min(0)
    claimed = F.one_hot(y, distance.shape[1]).to(torch.bool)
    own = torch.where(claimed, distance, 0.0).sum(1)
    other = torch.where(claimed, torch.inf, distance).amin(1)
    return own, other
