"""Residual networks with batch normalisation, from a few thousand weights to ResNet-18 (He et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["SMALL", "ImageMean", "Residual", "residual_network", "resnet18", "resnet34"]

SMALL = (16, 32, 64)
"""Channels of the three stages of ResNet-8."""

_PUBLISHED = (64, 128, 256, 512)


class Residual(nn.Module):
    """relu(BN(conv(relu(BN(conv(z))))) + shortcut(z)): (batch, inputs, h, w) → (batch, outputs, ⌈h / s⌉, ⌈w / s⌉)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = _shortcut(inputs, outputs, stride)

    def forward(self, z: Tensor) -> Tensor:
        """One block."""
        return torch.relu(self.branch(z) + self.shortcut(z))


class ImageMean(nn.Module):
    """The mean of each channel: (batch, channels, h, w) → (batch, channels)."""

    def forward(self, z: Tensor) -> Tensor:
        """Averages a batch."""
        # The gradient of torch's adaptive pooling has no deterministic form on a GPU.
        return z.mean(dim=(2, 3))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))


def residual_network(
    shape: torch.Size, classes: int, *, widths: Sequence[int] = SMALL, blocks: Sequence[int] = (1, 1, 1)
) -> nn.Sequential:
    """Untrained; images of `shape` (channels, height, width) to logits (batch, classes).

    A convolution, then for each of `widths` a stage of so many `blocks`, each stage but the first with stride 2, then
    the mean over the image and a linear layer. The last child alone maps features to logits.
    """
    ends = zip([widths[0], *widths], widths, blocks, strict=False)
    stages = [
        _stage(inputs, outputs, number, 2 if place else 1) for place, (inputs, outputs, number) in enumerate(ends)
    ]
    return nn.Sequential(
        nn.Conv2d(shape[0], widths[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
        *stages,
        ImageMean(),
        nn.Linear(widths[-1], classes),
    )


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = Residual(inputs, outputs, stride)
    return nn.Sequential(first, *(Residual(outputs, outputs, 1) for _ in range(blocks - 1)))


def resnet18(shape: torch.Size, classes: int) -> nn.Sequential:
    """ResNet-18 as it is used for images of 32 × 32 pixels: 11 million weights."""
    return residual_network(shape, classes, widths=_PUBLISHED, blocks=(2, 2, 2, 2))


def resnet34(shape: torch.Size, classes: int) -> nn.Sequential:
    """ResNet-34 as it is used for images of 32 × 32 pixels: 21 million weights."""
    return residual_network(shape, classes, widths=_PUBLISHED, blocks=(3, 4, 6, 3))
