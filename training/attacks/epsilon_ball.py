"""The ε-ball: how far a pixel may move, and images that a specification allows after rounding to grey levels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["grey_images", "project", "radius"]


def radius(epsilon: float) -> float:
    """The largest whole number of grey levels within `epsilon`, ⌊255 ε⌋ / 255: a bound that survives uint8."""
    return int(255 * epsilon) / 255


def project(z: Tensor, centre: Tensor, epsilon: float) -> Tensor:
    """The point nearest to z with |z - centre|∞ ≤ `radius(epsilon)` and every pixel in [0, 1]. Shapes are equal."""
    bound = radius(epsilon)
    return torch.clamp(centre + torch.clamp(z - centre, -bound, bound), 0, 1)


def grey_images(z: Tensor) -> NDArray[np.uint8]:
    """Images (n, channels, height, width) in [0, 1] as uint8 (n, height, width, channels), each pixel rounded."""
    return np.asarray((255 * z.detach()).round().permute(0, 2, 3, 1).contiguous().numpy().astype(np.uint8))
