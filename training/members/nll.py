"""nll: how improbable a network that learned from trusted data finds the claimed class."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from guard.spec import InputSpec
from training.jitter import jitter
from training.members.gp import GP
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit_beside
from training.networks import BatchLoss, ClaimedLabelLoss, MeanSuggestion, body, recipe_for, seeded, train
from training.rows import Rows

__all__ = ["NLL", "label_loss"]

_SMOOTHING = 0.1
"""Label smoothing bounds the log-odds, hence the score of an honest image that is misread. Without it a few such scores
lie so far out in the tail that they alone set the fused threshold, and drown the other members."""


_BESIDE_GP = 0.2
"""On tables where `gp` applies it sees what nll sees, with a lighter clean tail: a full share of the false alarms would
be spent twice on one question. A fifth was chosen on development data, none of which is reported."""


def _applies(spec: InputSpec, rows: int) -> bool:  # noqa: ARG001 – the interface
    return spec.task == "classification"


def _weight(spec: InputSpec, rows: int) -> float:
    return _BESIDE_GP if GP.applies(spec, rows) else 1.0


def _fit(data: TrustedData) -> FittedMember:
    """−log p(y|z) of the authenticator's kind of classifier (§IV-A), averaged over the folds.

    Tables: a perceptron trained with mixup (Zhang et al. 2018): λ z_i + (1 − λ) z_j, λ CE(y_i) + (1 − λ) CE(y_j), with
    λ ~ Beta(½, ½), which is sin²(πu/2) of a uniform u. Images: jitter and label smoothing.
    `suggest` returns the mean log-probability of every class.
    """

    def learn(z: Tensor, y: Tensor, beside: Rows | None, seed: int, name: str) -> tuple[nn.Module, list[float]]:
        network = seeded(lambda: body(z.shape[1:], data.classes), seed).to(data.device)
        recipe = recipe_for(z, data.preset.network, data.preset.batch)
        curve = train(network, label_loss(network, z), z, y, recipe, seed, data.progress, f"nll, {name}", beside)
        return ClaimedLabelLoss(network), curve

    fitted = cross_fit_beside(data, learn)
    suggest = MeanSuggestion(
        nn.Sequential(scorer.get_submodule("classifier"), nn.LogSoftmax(-1)) for scorer in fitted.scorers
    )
    return fitted.member(suggest.eval())


def label_loss(network: nn.Module, z: Tensor) -> BatchLoss:
    """How a classifier of rows like `z` learns: jittered images and smoothed labels, or mixed-up rows of a table."""
    return _smoothed(network) if z.ndim == 4 else _mixup(network)


def _smoothed(network: nn.Module) -> BatchLoss:
    return lambda z, y, generator: F.cross_entropy(network(jitter(z, generator)), y, label_smoothing=_SMOOTHING)


def _mixup(network: nn.Module) -> BatchLoss:
    def loss(z: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        share = torch.sin(torch.rand(len(z), generator=generator, device=z.device) * (torch.pi / 2)) ** 2
        partner = torch.randperm(len(z), generator=generator, device=z.device)
        logits = network(share[:, None] * z + (1 - share[:, None]) * z[partner])
        first = F.cross_entropy(logits, y, reduction="none")
        second = F.cross_entropy(logits, y[partner], reduction="none")
        return (share * first + (1 - share) * second).mean()

    return loss


NLL = Member(
    name="nll",
    description="−log p(label | sample) of a classifier trained on trusted data",
    blind_to="labels that are right, however the sample was altered; mild flips at the border of two classes",
    applies=_applies,
    fit=_fit,
    weight=_weight,
)
