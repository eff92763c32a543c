"""WaNet: a smooth warp that the eye does not see (Nguyen and Tran 2021)."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.attacks.backdoor import Backdoor, Imprint, backdoor_attack

__all__ = ["KNOTS", "STRENGTH", "WANET", "draw_warp", "smooth_field", "warped"]

STRENGTH = 0.5
"""s: pixels are fetched from s / 2 pixels away in the mean, in each direction."""

KNOTS = 4
"""k: the field is drawn at k × k knots."""


def smooth_field(height: int, width: int, rng: np.random.Generator, strength: float = STRENGTH) -> NDArray[np.float64]:
    """The field s · P / (W, H), float64 (height, width, 2): right and down, where an image reaches from -1 to 1.

    P: k × k draws from U(-1, 1) in each direction, over the mean of their absolute values, then bicubic to full size.
    """
    knots = rng.uniform(-1, 1, (1, 2, KNOTS, KNOTS))
    smooth = functional.interpolate(
        torch.from_numpy(knots / np.abs(knots).mean()), size=(height, width), mode="bicubic", align_corners=True
    )
    return np.asarray(strength * smooth[0].permute(1, 2, 0).numpy() / (width, height))


def warped(
    x: NDArray[np.float64], rng: np.random.Generator, *, field: NDArray[np.float64], noise: float = 0.0
) -> NDArray[np.float64]:
    """Images (n, height, width, channels), each pixel fetched from where `field` (height, width, 2) points; bilinear.

    `noise`: what is added to the field of each image and pixel, U(-1, 1) times so many H-ths and W-ths.
    """
    n, height, width, _ = x.shape
    rows, columns = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    shift = noise * rng.uniform(-1, 1, (n, height, width, 2)) / (width, height) if noise else np.zeros((n, 1, 1, 2))
    grid = np.clip(np.stack([columns, rows], axis=2) + field + shift, -1, 1)
    z = torch.from_numpy(x).permute(0, 3, 1, 2)
    found = functional.grid_sample(z, torch.from_numpy(grid), align_corners=True)
    return np.asarray(found.permute(0, 2, 3, 1).numpy())


def draw_warp(shape: tuple[int, ...], rng: np.random.Generator, strength: float = STRENGTH) -> Imprint:
    """One field for all images; covers get noise on it. On 8 × 8 pixels s = 0.5 does little, and s = 2 much."""
    height, width, _ = shape
    field = smooth_field(height, width, rng, strength)
    clear = partial(warped, field=field)
    return Imprint(clear, partial(warped, field=field, noise=1.0), clear)


WANET = backdoor_attack(
    Backdoor("wanet", "warps images a little and labels them as another class", draw_warp, covers=1.0)
)
"""WaNet, s = 0.5 and k = 4, with as many covers as planted rows.

Differs from the paper: it controls the training and draws poison and covers anew in each batch; here they are drawn
once, as many covers as planted rows (MeCa), not twice as many. Recalled, not read again.
"""
