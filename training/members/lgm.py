"""lgm: a large-margin Gaussian mixture in feature space."""

from __future__ import annotations

from torch import Tensor, nn

from guard.spec import InputSpec
from training.defences.lgm.mixture import log_ratio, mixture_network, row_losses
from training.jitter import jitter
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit_beside
from training.networks import BatchLoss, recipe_for, seeded, train
from training.rows import Rows

__all__ = ["LGM", "MixtureScore"]


def _applies(spec: InputSpec, rows: int) -> bool:  # noqa: ARG001 – the interface
    return spec.task == "classification" and spec.input.kind == "image"


class MixtureScore(nn.Module):
    """log(d_y / min_{k ≠ y} d_k) of a network with a Gaussian mixture head: positive where another class is nearer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores a batch: (batch, …), int64 (batch,) → (batch,)."""
        return log_ratio(self.network(z), y)


def _fit(data: TrustedData) -> FittedMember:
    """Large-margin Gaussian mixture (Wan et al. 2018), used for detection as Sargsyan et al. (2020) do.

    Images are jittered in training.

    Differs from the paper: the covariance is the identity throughout, hence log|Λ| = 0; classes have equal priors; α
    and λ are constant. The score is log(d_y / nearest other d) instead of the likelihood d_y: the tail of its
    clean scores is light.
    """

    def learn(z: Tensor, y: Tensor, beside: Rows | None, seed: int, name: str) -> tuple[nn.Module, list[float]]:
        network = seeded(lambda: mixture_network(z.shape[1:], data.classes), seed).to(data.device)
        recipe = recipe_for(z, data.preset.network, data.preset.batch)
        curve = train(network, _loss(network), z, y, recipe, seed, data.progress, f"lgm, {name}", beside)
        return MixtureScore(network), curve

    return cross_fit_beside(data, learn).member()


def _loss(network: nn.Module) -> BatchLoss:
    return lambda z, y, generator: row_losses(network(jitter(z, generator)), y).mean()


LGM = Member(
    name="lgm",
    description="distance to the claimed class against the nearest class in a large-margin Gaussian feature space",
    blind_to="labels that are right, however the sample was altered; samples moved into the claimed class's features",
    applies=_applies,
    fit=_fit,
)
