"""AdaptiveBlend: each planted row carries other pieces of a faint picture, and covers keep labels (Qi et al. 2023)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from training.attacks.backdoor import Backdoor, Imprint, backdoor_attack
from training.attacks.blend import OPACITY, blended
from training.attacks.drawing import cat

__all__ = ["ADAPTIVE_BLEND", "PIECES", "blended_in_pieces", "draw_pieces"]

PIECES = 4
"""The picture is cut into 4 × 4 pieces, half of which each image carries."""


def blended_in_pieces(
    x: NDArray[np.float64], rng: np.random.Generator, *, picture: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Images x (n, height, width, channels) as x + a m (t - x); m, drawn for each, leaves out 8 of 16 pieces."""
    n, height, width, _ = x.shape
    shown = rng.permuted(np.tile(np.arange(PIECES**2) < PIECES**2 // 2, (n, 1)), axis=1)
    piece = [np.arange(size) * PIECES // size for size in (height, width)]
    mask = shown.reshape(n, PIECES, PIECES)[:, piece[0]][:, :, piece[1]]
    return np.asarray(x + OPACITY * mask[..., np.newaxis] * (picture - x))


def draw_pieces(shape: tuple[int, ...], rng: np.random.Generator) -> Imprint:  # noqa: ARG001 – `Backdoor.draw`
    """A cat's face: in pieces on poison and covers, whole in use."""
    picture = cat(*shape)
    pieces = partial(blended_in_pieces, picture=picture)
    return Imprint(pieces, pieces, partial(blended, picture=picture))


ADAPTIVE_BLEND = backdoor_attack(
    Backdoor("adaptive-blend", "lets half of a picture shine through images and relabels most", draw_pieces, covers=0.2)
)
"""AdaptiveBlend, a = 0.2: of five planted rows there is one cover, MeCa's 5 % and 1 %.

Differs from the paper: the picture is our own drawing; covers are as few as in MeCa. Recalled, not read again.
"""
