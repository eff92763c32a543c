"""MobileNetV2 (Sandler et al. 2018): inverted residuals with depthwise convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.residual_network import ImageMean

__all__ = ["InvertedResidual", "mobilenet_v2"]

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and stride of each stage."""

_STEM = 32
_FEATURES = 1280


class InvertedResidual(nn.Module):
    """Widen by `expansion`, filter each channel, narrow without a nonlinearity; plus the input where shapes agree.

    (batch, inputs, h, w) → (batch, outputs, ⌈h / stride⌉, ⌈w / stride⌉).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * inputs
        self.branch = nn.Sequential(
            *(_convolution(inputs, wide, 1) if expansion > 1 else ()),
            *_convolution(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, z: Tensor) -> Tensor:
        """One block."""
        found: Tensor = self.branch(z)
        return z + found if self.adds else found


def mobilenet_v2(shape: torch.Size, classes: int) -> nn.Sequential:
    """Untrained; images of `shape` (channels, height, width) to logits (batch, classes): 2 million weights.

    The last child alone maps features to logits.

    Differs from the paper: images of 32 × 32 pixels are halved three times, not five, as is usual for them.
    """
    blocks, inputs = [], _STEM
    for expansion, outputs, number, stride in _STAGES:
        for place in range(number):
            blocks.append(InvertedResidual(inputs, outputs, 1 if place else stride, expansion))
            inputs = outputs
    return nn.Sequential(
        *_convolution(shape[0], _STEM, 3),
        *blocks,
        *_convolution(inputs, _FEATURES, 1),
        ImageMean(),
        nn.Linear(_FEATURES, classes),
    )


def _convolution(
    inputs: int, outputs: int, side: int, *, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, nn.Module, nn.Module]:
    filters = nn.Conv2d(inputs, outputs, side, stride=stride, padding=side // 2, groups=groups, bias=False)
    return filters, nn.BatchNorm2d(outputs), nn.ReLU6()
