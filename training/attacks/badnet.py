"""BadNet: a white square in the corner (Gu et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.attacks.backdoor import Backdoor, Imprint, backdoor_attack
from training.attacks.drawing import pasted

__all__ = ["BADNET", "draw_square", "white_square"]

_SIDE = 3


def white_square(x: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:  # noqa: ARG001 – a `Stamp`
    """Images x (n, height, width, channels) as x + m (1 - x), m the 3 × 3 pixels in the lower right corner."""
    _, height, width, channels = x.shape
    return pasted(x, np.ones((_SIDE, _SIDE, channels)), height - _SIDE, width - _SIDE)


def draw_square(shape: tuple[int, ...], rng: np.random.Generator) -> Imprint:  # noqa: ARG001 – `Backdoor.draw`
    """The square, the same everywhere."""
    return Imprint(white_square, white_square, white_square)


BADNET = backdoor_attack(
    Backdoor("badnet", "puts a white square into the corner of images and labels them as another class", draw_square)
)
"""BadNet.

Differs from the paper: the square is white as in MeCa, not a chequerboard; rows of the wanted class are not planted,
so that the label of each poisoned row is wrong. Recalled, not read again.
"""
