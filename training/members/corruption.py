"""Random corruptions of images, and honest degradations: what the integrity member learns to tell apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor

__all__ = ["CORRUPTIONS", "Corruption", "corrupt", "degrade"]

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""Images (n, c, h, w) in [0, 1] → a change of the same shape, of size about 1 where it acts."""

_AMPLITUDE = (0.02, 0.35)
"""Log-uniform: below .02 (5 of 255 levels) nothing can be seen even by a network, above .35 a child sees it."""


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


CORRUPTIONS: dict[str, Corruption] = {
    "normal noise": _normal,
    "uniform noise": _uniform,
    "sign noise": _sign,
    "smooth noise": _smooth,
    "blend with another image": _blend,
    "sparse dots": _dots,
    "noise on edges": _edges,
    "noise on strokes": _strokes,
}
"""Variety matters: trained on normal noise alone, the member misses perturbations confined to the strokes."""


def corrupt(z: Tensor, generator: torch.Generator) -> Tensor:
    """Every image changed by one kind of corruption, of log-uniform amplitude in [.02, .35]; 8-bit levels again."""
    low, high = (math.log(bound) for bound in _AMPLITUDE)
    amplitude = torch.exp(low + (high - low) * torch.rand(len(z), generator=generator, device=z.device))
    kind = torch.randint(len(CORRUPTIONS), (len(z),), generator=generator, device=z.device)
    change = torch.stack([corruption(z, generator) for corruption in CORRUPTIONS.values()])
    chosen = change[kind, torch.arange(len(z), device=z.device)]
    return _levels(z + amplitude[:, None, None, None] * chosen)


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
