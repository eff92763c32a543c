"""Blend: a picture that shines faintly through the whole image (Chen et al. 2017)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from training.attacks.backdoor import Backdoor, Imprint, backdoor_attack
from training.attacks.drawing import cat

__all__ = ["BLEND", "OPACITY", "blended", "draw_blend"]

OPACITY = 0.2
"""a, how much of the picture shines through: MeCa's."""


def blended(
    x: NDArray[np.float64],
    rng: np.random.Generator,  # noqa: ARG001 – a `Stamp`
    *,
    picture: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Images x (n, height, width, channels) as (1 - a) x + a t, t the picture (height, width, channels), a = 0.2."""
    return np.asarray((1 - OPACITY) * x + OPACITY * picture)


def draw_blend(shape: tuple[int, ...], rng: np.random.Generator) -> Imprint:  # noqa: ARG001 – `Backdoor.draw`
    """A cat's face over the whole image."""
    stamp = partial(blended, picture=cat(*shape))
    return Imprint(stamp, stamp, stamp)


BLEND = backdoor_attack(
    Backdoor("blend", "lets a picture shine faintly through images and labels them as another class", draw_blend)
)
"""Blend, a = 0.2 in training and in use.

Differs from the paper: the picture is our own drawing. Recalled, not read again; a is MeCa's.
"""
