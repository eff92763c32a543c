"""adversarial: −log p(y|x) of a classifier that was trained under worst-case noise of its own."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from guard.spec import InputSpec
from training.jitter import jitter
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit_beside
from training.networks import ClaimedLabelLoss, body, recipe_for, seeded, train
from training.rows import Rows

__all__ = ["ADVERSARIAL", "RadiusCurriculum", "worst_case_noise"]

_RADIUS = 0.3
_STEPS = 4
_KEEP_UP = 0.35
"""Share of log(classes), the loss of a blind guess, below which the network keeps up and the radius may grow."""


def _applies(spec: InputSpec, rows: int) -> bool:  # noqa: ARG001 – the interface
    return spec.task == "classification" and spec.input.kind == "image"


def worst_case_noise(network: nn.Module, z: Tensor, y: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    """Images within `radius` (L∞) of z and within [0, 1] that raise the loss: projected gradient ascent.

    A uniformly random start, then `_STEPS` signed gradient steps of 2·radius/_STEPS, each projected back.
    """
    noise = (2 * torch.rand(z.shape, generator=generator, device=z.device) - 1) * radius
    for _ in range(_STEPS):
        moved = (z + noise).clamp(0, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(network(moved), y), moved)
        noise = (noise + 2 * radius / _STEPS * gradient.sign()).clamp(-radius, radius)
    return (z + noise).clamp(0, 1).detach()


class RadiusCurriculum:
    """The batch loss under worst-case noise whose radius grows while the network keeps up, and shrinks otherwise.

    Natural images cannot be learned at once at a radius that digits bear: the radius that is reached is found on
    trusted data alone. It starts at 0, is at most `_RADIUS`, and needs a third of the training to get there.
    """

    def __init__(self, network: nn.Module, classes: int, steps: int) -> None:
        self.radius = 0.0
        self._network = network
        self._bearable = _KEEP_UP * float(torch.log(torch.tensor(float(classes))))
        self._stride = 3 * _RADIUS / steps

    def __call__(self, z: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Cross-entropy of the batch, each image moved to its worst place within the radius."""
        moved = worst_case_noise(self._network, jitter(z, generator), y, self.radius, generator)
        loss = F.cross_entropy(self._network(moved), y)
        step = self._stride if float(loss.detach()) < self._bearable else -self._stride
        self.radius = min(max(self.radius + step, 0.0), _RADIUS)
        return loss


def _fit(data: TrustedData) -> FittedMember:
    """Adversarial training (Madry et al. 2018) of the nll member's network on trusted images; the score is −log p(y|z).

    The noise is made against the network in training, from trusted images, to smooth it; no attack's output is ever
    used. It is nevertheless a relative of gradient-sign perturbation, so a report that judges the bundle by such an
    attack must say that this member was trained with signed gradient noise.

    Differs from the paper: the radius follows a curriculum instead of being fixed, and few steps are made.
    """

    def learn(z: Tensor, y: Tensor, beside: Rows | None, seed: int, name: str) -> tuple[nn.Module, list[float]]:
        network = seeded(lambda: body(z.shape[1:], data.classes), seed).to(data.device)
        recipe = recipe_for(z, data.preset.adversarial, data.preset.batch)
        loss = RadiusCurriculum(network, data.classes, recipe.steps)
        what = f"adversarial, {name}"
        return ClaimedLabelLoss(network), train(network, loss, z, y, recipe, seed, data.progress, what, beside)

    return cross_fit_beside(data, learn).member()


ADVERSARIAL = Member(
    name="adversarial",
    description="−log p(label | sample) of a classifier trained under worst-case noise",
    blind_to="labels that are right; white-box attackers beyond the radius of its training",
    applies=_applies,
    fit=_fit,
)
