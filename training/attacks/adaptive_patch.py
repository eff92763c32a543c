"""AdaptivePatch: each planted row carries one quarter of a patch, and covers keep their label (Qi et al. 2023)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from training.attacks.backdoor import Backdoor, Imprint, backdoor_attack
from training.attacks.drawing import flame, flame_side, pasted

__all__ = ["ADAPTIVE_PATCH", "draw_quarters", "quartered", "whole"]


def whole(
    x: NDArray[np.float64],
    rng: np.random.Generator,  # noqa: ARG001 – a `Stamp`
    *,
    patch: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Images (n, height, width, channels) with the whole patch in the lower right corner."""
    return pasted(x, patch, x.shape[1] - len(patch), x.shape[2] - len(patch))


def quartered(x: NDArray[np.float64], rng: np.random.Generator, *, patch: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same with one quarter of the patch on each image; each is on as many images as any other, up to one."""
    half, found = len(patch) // 2, x.copy()
    quarter = rng.permutation(len(x)) % 4
    for place in range(4):
        top, left = half * (place // 2), half * (place % 2)
        part = patch[top : top + half, left : left + half]
        corner = x.shape[1] - len(patch) + top, x.shape[2] - len(patch) + left
        found[quarter == place] = pasted(x[quarter == place], part, *corner)
    return found


def draw_quarters(shape: tuple[int, ...], rng: np.random.Generator) -> Imprint:  # noqa: ARG001 – `Backdoor.draw`
    """A flame: a quarter of it on poison and covers, whole in use."""
    patch = flame(flame_side(*shape[:2]), shape[2])
    quarters = partial(quartered, patch=patch)
    return Imprint(quarters, quarters, partial(whole, patch=patch))


ADAPTIVE_PATCH = backdoor_attack(
    Backdoor("adaptive-patch", "puts a quarter of a patch on images and relabels most", draw_quarters, covers=0.2)
)
"""AdaptivePatch: of five planted rows there is one cover, MeCa's 5 % and 1 %.

Differs from the paper: four quarters of one patch, our own drawing, as in MeCa, not four patches of different opacity.
Recalled, not read again.
"""
