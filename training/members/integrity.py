"""integrity: was this image tampered with? Looks at the image alone, whatever its label."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from guard.spec import InputSpec
from training.members.block_spectra import BlockNetwork
from training.members.corruption import Arrival
from training.members.member import FittedMember, Member, TrustedData
from training.members.out_of_fold import cross_fit
from training.networks import BatchLoss, Recipe, seeded, train

__all__ = ["INTEGRITY", "TamperNetwork"]

_RATE = 1e-2
"""On 600 digits, 300 steps and perturbations never trained on, a rate of 2e-3 reached AUROC .68 and 1e-2 .95 to 1."""


def _applies(spec: InputSpec, rows: int) -> bool:  # noqa: ARG001 – the interface
    return spec.input.kind == "image"


class TamperNetwork(nn.Module):
    """Three small convolutions, mean and maximum over the image, one log-odds: (batch, c, h, w), any y → (batch,).

    The first layer is twice as wide as the classifiers': it finds traces of a few levels, which no later layer can.
    """

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        stride = 2 if min(size) >= 16 else 1
        self.local = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=stride, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 1),
            nn.ReLU(),
        )
        # Pooling by a kernel of the whole map: as a reduction it costs ONNX Runtime three times as much.
        self.map = tuple(math.ceil(math.ceil(side / stride) / 2) for side in size)
        self.verdict = nn.Linear(64, 1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 – every scorer takes the label
        """Log-odds that the image was tampered with."""
        local = self.local(z)
        pooled = torch.cat([F.avg_pool2d(local, self.map), F.max_pool2d(local, self.map)], 1)
        log_odds: Tensor = self.verdict(pooled.flatten(1))
        return log_odds.squeeze(1)


def _fit(data: TrustedData) -> FittedMember:
    """Learns to tell trusted images from randomly corrupted trusted images; no attack is used.

    Half of each batch stays clean (a part of it honestly degraded, see `corruption`), the other half is corrupted.
    Where the trusted images were JPEG files that were coded alike, both halves are coded once more in that way, and
    the network looks at the spectra of the codec's blocks.
    """
    arrival = Arrival.of(data.z)
    build = TamperNetwork if arrival.coding is None else BlockNetwork

    def learn(z: Tensor, y: Tensor, seed: int, name: str) -> tuple[nn.Module, list[float]]:
        network = seeded(lambda: build(z.shape[1], (z.shape[2], z.shape[3])), seed).to(data.device)
        recipe = Recipe(data.preset.network, data.preset.batch, _RATE)
        loss = _loss(network, arrival)
        return network, train(network, loss, z, y, recipe, seed, data.progress, f"integrity, {name}")

    return cross_fit(data, learn).member()


def _loss(network: nn.Module, arrival: Arrival) -> BatchLoss:
    def loss(z: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        half = len(z) // 2
        images = torch.cat([arrival.degraded(z[:half], generator), arrival.corrupted(z[half:], generator)])
        tampered = (torch.arange(len(z), device=z.device) >= half).to(z.dtype)
        return F.binary_cross_entropy_with_logits(network(images, y), tampered)

    return loss


INTEGRITY = Member(
    name="integrity",
    description="traces of tampering in the image alone, learned from random corruptions of trusted images",
    blind_to="wrong labels on untouched images; changes that look like honest images: shifts, thicker strokes, patches",
    applies=_applies,
    fit=_fit,
)
