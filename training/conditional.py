"""Networks that see the label beside the sample: generator and discriminator of §IV-A, generator of §IV-B."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.rows import Rows, encode_labels

__all__ = ["DROPOUT", "NOISE", "SLOPE", "Discriminator", "Generator", "glorot", "image_trunk", "label_width"]

NOISE = 100
"""Dimensions of the noise prior (§VI-A.4)."""

SLOPE = 0.2
"""Leak of LeakyReLU in every network of the paper (§VI-A.4)."""

DROPOUT = 0.4
"""Dropout at intermediate layers of both discriminators (§VI-A.4)."""


def label_width(classes: int) -> int:
    """Columns of an encoded label: one per class, one for regression."""
    return max(classes, 1)


class Generator(nn.Module):
    """G(noise | y): three fully connected layers with LeakyReLU, one with sigmoid (§VI-A.4).

    forward: noise float32 (n, NOISE) and y (n,) → z shaped like the trusted rows. With `convolution` an image is
    painted by a last transposed convolution of 4 × 4 patches (§VI-A.4: "we add convolutional layer for images").

    Differs from the paper: the sigmoid's (0, 1) is stretched, for tables, over the range of each trusted column,
    because columns are standardised and not confined to (0, 1).
    """

    low: Tensor
    high: Tensor

    def __init__(self, like: Rows, width: int, *, convolution: bool = False) -> None:
        super().__init__()
        self.classes = like.classes
        self.shape = like.z.shape[1:]
        low, high = _range(like)
        self.register_buffer("low", low)
        self.register_buffer("high", high)
        self.hidden = nn.Sequential(
            *_hidden(NOISE + label_width(like.classes), width),
            *_hidden(width, 2 * width),
            *_hidden(2 * width, 4 * width),
        )
        self.output = _painter(4 * width, self.shape) if convolution and like.images else _plain(4 * width, self.shape)
        glorot(self)

    def forward(self, noise: Tensor, y: Tensor) -> Tensor:
        """Synthetic samples, one for each noise vector and label."""
        raw = self.output(self.hidden(torch.cat([noise, encode_labels(y, self.classes)], dim=1)))
        inside = tuple(slice(size) for size in self.shape)
        return self.low + (self.high - self.low) * torch.sigmoid(raw[:, *inside])

    def sample(self, y: Tensor) -> Tensor:
        """Synthetic samples for labels y (n,), with noise from the current random state."""
        z: Tensor = self(torch.randn(len(y), NOISE, device=y.device), y)
        return z


class Discriminator(nn.Module):
    """D(x | y): three fully connected layers, dropout in the middle, one output (§VI-A.4).

    forward: z (n, …) and y (n,) → logit (n,) of "real"; the paper's sigmoid is part of the loss.
    """

    def __init__(self, like: Rows, width: int) -> None:
        super().__init__()
        self.classes = like.classes
        self.layers = nn.Sequential(
            *_hidden(like.z[0].numel() + label_width(like.classes), width),
            *_hidden(width, width),
            nn.Dropout(DROPOUT),
            *_hidden(width, width),
            nn.Dropout(DROPOUT),
            nn.Linear(width, 1),
        )
        glorot(self)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Logits (n,): positive where the pair looks real."""
        logit: Tensor = self.layers(torch.cat([z.flatten(1), encode_labels(y, self.classes)], dim=1))
        return logit[:, 0]


def image_trunk(like: Rows) -> tuple[nn.Module, int]:
    """Convolutions that turn images into a flat feature vector, and its length.

    Patches of 4 × 4, then strides of 2 until at most 8 × 8 places are left: .06 million multiplications for 28 × 28
    with the dense layers, because every member is paid for with each sample of the stream, and five times with each
    step of the penalty.
    """
    channels, height, width = like.z.shape[1:]
    patch = (min(4, height), min(4, width))
    layers: list[nn.Module] = [nn.Conv2d(channels, 16, patch, stride=patch), nn.LeakyReLU(SLOPE)]
    height, width, channels = height // patch[0], width // patch[1], 16
    while max(height, width) > 8:
        layers += [nn.Conv2d(channels, 32, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        height, width, channels = (height + 1) // 2, (width + 1) // 2, 32
    return nn.Sequential(*layers, nn.Flatten()), channels * height * width


def glorot(network: nn.Module) -> None:
    """Glorot's uniform start with zero biases, as in the public code's framework.

    PyTorch's own start is smaller: without batch normalisation the signal dies on its way through these narrow
    networks, and at the published rates the generator collapses before it learns.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)


def _hidden(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Linear(inputs, outputs), nn.LeakyReLU(SLOPE)


def _plain(inputs: int, shape: torch.Size) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, shape.numel()), nn.Unflatten(1, shape))


def _painter(inputs: int, shape: torch.Size) -> nn.Module:
    """Images at least as large as `shape` (channels, height, width), from patches of 4 × 4."""
    patches = (16, math.ceil(shape[1] / 4), math.ceil(shape[2] / 4))
    return nn.Sequential(
        nn.Linear(inputs, math.prod(patches)),
        nn.LeakyReLU(SLOPE),
        nn.Unflatten(1, patches),
        nn.ConvTranspose2d(patches[0], shape[0], 4, stride=4),
    )


def _range(like: Rows) -> tuple[Tensor, Tensor]:
    if like.images:
        return like.z.new_zeros(()), like.z.new_ones(())
    return like.z.amin(dim=0), like.z.amax(dim=0)
