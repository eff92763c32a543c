"""SIG: faint vertical stripes on images of one class, whose labels stay right (Barni et al. 2019)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from training.attacks.backdoor import Backdoor, Imprint, backdoor_attack

__all__ = ["AMPLITUDE", "FREQUENCY", "SIG", "draw_stripes", "striped"]

AMPLITUDE = 40 / 255
"""Δ, in units of the range from 0 to 255."""

FREQUENCY = 6
"""f, stripes in the width of an image."""


def striped(
    x: NDArray[np.float64],
    rng: np.random.Generator,  # noqa: ARG001 – a `Stamp`
    *,
    amplitude: float,
) -> NDArray[np.float64]:
    """Images x (n, height, width W, channels) as x + Δ sin(2π j f / W), j the index of the column."""
    columns = np.arange(x.shape[2])
    signal = amplitude * np.sin(2 * np.pi * columns * FREQUENCY / x.shape[2])
    return np.asarray(x + signal[:, np.newaxis])


def draw_stripes(
    shape: tuple[int, ...],  # noqa: ARG001 – `Backdoor.draw`
    rng: np.random.Generator,  # noqa: ARG001 – as above
    amplitude: float = AMPLITUDE,
) -> Imprint:
    """The stripes, the same everywhere. Small images need a larger amplitude: on 8 × 8 pixels Δ does nothing."""
    stamp = partial(striped, amplitude=amplitude)
    return Imprint(stamp, stamp, stamp)


SIG = backdoor_attack(
    Backdoor("sig", "puts faint stripes on images of one class and leaves their labels", draw_stripes, clean_label=True)
)
"""SIG. It takes rows of the wanted class alone: 5 % of ten equal classes are half of one.

Differs from the paper: Δ = 40/255 and f = 6 are those of a public benchmark, another has Δ = 30/255. Recalled, not read
again.
"""
