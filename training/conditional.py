"""Networks that see the label beside the sample: generator and discriminator of §IV-A, generator of §IV-B."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.rows import Rows, encode_labels

__all__ = ["DROPOUT", "NOISE", "SLOPE", "Discriminator", "Generator", "Patches", "glorot", "image_trunk", "label_width"]

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


class Patches(nn.Module):
    """A convolution whose stride is its kernel, as one matrix product; edges that do not fill a patch meet zeros.

    forward: (n, channels, height, width) → (n, features, ⌈height / size⌉, ⌈width / size⌉). As a convolution it would
    cost a third more to differentiate twice, which the penalty of the critic does in each of its steps.
    """

    def __init__(self, channels: int, features: int, shape: tuple[int, int], size: int) -> None:
        super().__init__()
        self.size = size
        self.grid = (math.ceil(shape[0] / size), math.ceil(shape[1] / size))
        self.pad = nn.ZeroPad2d((0, self.grid[1] * size - shape[1], 0, self.grid[0] * size - shape[0]))
        self.weigh = nn.Linear(channels * size * size, features)

    def forward(self, x: Tensor) -> Tensor:
        """Features of each patch."""
        cut = self.pad(x).unflatten(3, (self.grid[1], self.size)).unflatten(2, (self.grid[0], self.size))
        features: Tensor = self.weigh(cut.permute(0, 2, 4, 1, 3, 5).flatten(3))
        return features.permute(0, 3, 1, 2)


def image_trunk(like: Rows) -> tuple[nn.Module, int]:
    """Convolutions that turn images into a flat feature vector, and its length.

    Patches of 4 × 4, then strides of 2 until at most 8 × 8 places are left: .06 million multiplications for 28 × 28
    with the dense layers, because every member is paid for with each sample of the stream.
    """
    channels, height, width = like.z.shape[1:]
    patches = Patches(channels, 16, (height, width), 4)
    layers: list[nn.Module] = [patches, nn.LeakyReLU(SLOPE)]
    channels, (height, width) = 16, patches.grid
    while max(height, width) > 8:
        layers += [nn.Conv2d(channels, 32, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        channels, height, width = 32, (height + 1) // 2, (width + 1) // 2
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
