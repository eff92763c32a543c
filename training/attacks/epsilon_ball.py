"""The ε-ball: how far a pixel may move."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["project", "radius"]


def radius(epsilon: float) -> float:
    """The largest whole number of grey levels within `epsilon`, ⌊255 ε⌋ / 255: a bound that survives uint8."""
    return int(255 * epsilon) / 255


def project(z: Tensor, centre: Tensor, epsilon: float) -> Tensor:
    """The point nearest to z with |z - centre|∞ ≤ `radius(epsilon)` and every pixel in [0, 1]. Shapes are equal."""
    bound = radius(epsilon)
    return torch.clamp(centre + torch.clamp(z - centre, -bound, bound), 0, 1)
