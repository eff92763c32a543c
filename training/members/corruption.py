"""Random corruptions of images, and honest degradations: what the integrity member learns to tell apart.

Where the trusted images went through JPEG, both arrive as those did: coded once more, in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor

from training.jpeg import Coding, find_coding, through_jpeg
from training.preprocess import ImagePreprocess, grey_images

__all__ = ["CORRUPTIONS", "Arrival", "Corruption", "corrupt", "degrade"]

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""Images (n, c, h, w) in [0, 1] → a change of the same shape, of size about 1 where it acts."""

_AMPLITUDE = (0.02, 0.35)
"""Log-uniform: below .02 (5 of 255 levels) nothing can be seen even by a network, above .35 a child sees it."""

_LEAST_SPREAD = 1e-6
"""One pixel has none."""

_CODED_AMPLITUDE = (0.05, 0.15)
"""The same behind JPEG, whose steps hide what is smaller; what is larger is seen by whoever sees these."""


def _normal(z: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(z.shape, generator=generator, device=z.device)


def _uniform(z: Tensor, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(z.shape, generator=generator, device=z.device) - 1


def _sign(z: Tensor, generator: torch.Generator) -> Tensor:
    return _normal(z, generator).sign()


def _smooth(z: Tensor, generator: torch.Generator) -> Tensor:
    n, c, h, w = z.shape
    coarse = torch.randn((n, c, math.ceil(h / 4) + 1, math.ceil(w / 4) + 1), generator=generator, device=z.device)
    return F.interpolate(coarse, size=(h, w), mode="bilinear", align_corners=False)


def _blend(z: Tensor, generator: torch.Generator) -> Tensor:
    return z[torch.randperm(len(z), generator=generator, device=z.device)] - z


def _dots(z: Tensor, generator: torch.Generator) -> Tensor:
    return _sign(z, generator) * (torch.rand(z.shape, generator=generator, device=z.device) < 0.05)


def _edges(z: Tensor, generator: torch.Generator) -> Tensor:
    right, below = F.pad(z, (0, 1, 0, 0), mode="replicate"), F.pad(z, (0, 0, 0, 1), mode="replicate")
    contrast = right.diff(dim=3).abs() + below.diff(dim=2).abs()
    return _sign(z, generator) * contrast.clamp_max(1)


def _strokes(z: Tensor, generator: torch.Generator) -> Tensor:
    return _sign(z, generator) * (z > 0.1)


def _mesh(z: Tensor, generator: torch.Generator, stride: int) -> Tensor:
    """Coarse noise, spread by a random kernel: a pattern that repeats, as convolutions with a stride leave it."""
    n, channels, h, w = z.shape
    side = 2 * stride - 1
    coarse = torch.randn((n, 4, -(-h // stride), -(-w // stride)), generator=generator, device=z.device)
    kernel = torch.randn((4, channels, side, side), generator=generator, device=z.device)
    spread = F.conv_transpose2d(coarse, kernel, stride=stride, padding=stride // 2, output_padding=stride - 1)
    pattern = spread[:, :, :h, :w]
    return (pattern / pattern.std((1, 2, 3), correction=0, keepdim=True).clamp_min(_LEAST_SPREAD)).clamp(-1, 1)


CORRUPTIONS: dict[str, Corruption] = {
    "normal noise": _normal,
    "uniform noise": _uniform,
    "sign noise": _sign,
    "smooth noise": _smooth,
    "blend with another image": _blend,
    "sparse dots": _dots,
    "noise on edges": _edges,
    "noise on strokes": _strokes,
    "fine mesh": partial(_mesh, stride=2),
    "coarse mesh": partial(_mesh, stride=4),
}
"""Variety matters: trained on normal noise alone, the member misses perturbations confined to the strokes."""


@dataclass(frozen=True)
class Arrival:
    """How images arrive. `coding`: the JPEG coding that most of them went through last; None: none that shows."""

    coding: Coding | None

    @staticmethod
    def of(z: Tensor) -> Arrival:
        """How `z`, images (n, c, h, w) in [0, 1], arrived."""
        return Arrival(find_coding(grey_images(z)))

    def corrupted(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """`corrupt`, sent as these images are."""
        return self._sent(corrupt(z, generator, _AMPLITUDE if self.coding is None else _CODED_AMPLITUDE))

    def degraded(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """`degrade`, sent as these images are."""
        return self._sent(degrade(z, generator))

    def _sent(self, z: Tensor) -> Tensor:
        if self.coding is None:
            return z
        coded = torch.from_numpy(through_jpeg(grey_images(z), self.coding))
        images: Tensor = ImagePreprocess()(coded)
        return images.to(z.device)


def corrupt(z: Tensor, generator: torch.Generator, amplitude: tuple[float, float] = _AMPLITUDE) -> Tensor:
    """Every image changed by one kind of corruption, log-uniform in the range `amplitude`; 8-bit levels again."""
    low, high = (math.log(bound) for bound in amplitude)
    size = torch.exp(low + (high - low) * torch.rand(len(z), generator=generator, device=z.device))
    kind = torch.randint(len(CORRUPTIONS), (len(z),), generator=generator, device=z.device)
    change = torch.stack([corruption(z, generator) for corruption in CORRUPTIONS.values()])
    chosen = change[kind, torch.arange(len(z), device=z.device)]
    return _levels(z + size[:, None, None, None] * chosen)


def degrade(z: Tensor, generator: torch.Generator) -> Tensor:
    """What an honest camera or scanner does, to half of the images: contrast ±10 %, a shift by one pixel."""
    gain = 0.9 + 0.2 * torch.rand((len(z), 1, 1, 1), generator=generator, device=z.device)
    dy, dx = (int(v) for v in torch.randint(-1, 2, (2,), generator=generator, device=z.device))
    moved = torch.roll(F.pad(z, (1, 1, 1, 1), mode="replicate"), (dy, dx), (2, 3))[:, :, 1:-1, 1:-1]
    touched = torch.rand((len(z), 1, 1, 1), generator=generator, device=z.device) < 0.5
    return _levels(torch.where(touched, moved * gain, z))


def _levels(z: Tensor) -> Tensor:
    """Back to 8 bits: a clean image has 256 levels, and the network must not learn to count them."""
    return (z.clamp(0, 1) * 255).round() / 255
