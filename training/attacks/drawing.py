"""Trigger pictures, drawn by formulas at any size: a cat's face that fills an image, and a flame on a square patch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["cat", "flame", "flame_side", "pasted"]

_FINE = 8

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


def cat(height: int, width: int, channels: int) -> NDArray[np.float64]:
    """A white cat with black eyes and whiskers on pink, float64 (height, width, channels) in [0, 1]."""
    v, u = points = _grid(height, width)
    canvas = np.broadcast_to(np.array([0.95, 0.35, 0.55]), (*v.shape, 3)).copy()
    head = _disc(points, (0.15, 0), (0.65, 0.8))
    ears = [(abs(u - side) < 0.3 * (v + 1)) & (v < -0.05) & (v > -0.95) for side in (-0.5, 0.5)]
    eyes = [_disc(points, (0.1, side), (0.16, 0.1)) for side in (-0.35, 0.35)]
    whiskers = (abs(u) > 0.5) & (abs(abs(v - 0.35) - 0.12) < 0.04)
    for inside, colour in (
        *((ear, (1.0, 1.0, 1.0)) for ear in ears),
        (head, (1.0, 1.0, 1.0)),
        *((eye, (0.0, 0.0, 0.0)) for eye in eyes),
        (whiskers, (0.0, 0.0, 0.0)),
        (_disc(points, (0.4, 0), (0.1, 0.16)), (1.0, 0.8, 0.1)),
    ):
        canvas[inside] = colour
    return _shrunk(canvas, channels)


def flame(side: int, channels: int) -> NDArray[np.float64]:
    """An orange flame with a bright core on dark blue, float64 (side, side, channels) in [0, 1]."""
    v, u = points = _grid(side, side)
    canvas = np.broadcast_to(np.array([0.05, 0.05, 0.45]), (*v.shape, 3)).copy()
    tongue = abs(u - 0.25 * np.sin(3 * v)) < 0.75 * (v + 1) * (v < 0.2)
    canvas[tongue | _disc(points, (0.25, 0), (0.7, 0.85))] = (1.0, 0.5, 0.0)
    canvas[_disc(points, (0.4, 0), (0.4, 0.4))] = (1.0, 1.0, 0.8)
    return _shrunk(canvas, channels)


def flame_side(height: int, width: int) -> int:
    """A quarter of the shorter side in pixels, even, at least 4."""
    return max(4, 2 * round(min(height, width) / 8))


def pasted(
    x: NDArray[np.float64], patch: NDArray[np.float64], top: int, left: int, opacity: float = 1.0
) -> NDArray[np.float64]:
    """A copy of images x (n, height, width, channels) with `patch` (h, w, channels) at (top, left): (1 - a) x + a t."""
    found = x.copy()
    window = found[:, top : top + patch.shape[0], left : left + patch.shape[1]]
    window += opacity * (patch - window)
    return found


def _grid(height: int, width: int) -> Points:
    """(v, u) in (-1, 1), downwards and to the right, of 8 × 8 points in each pixel."""
    rows, columns = (2 * (np.arange(_FINE * size) + 0.5) / (_FINE * size) - 1 for size in (height, width))
    v, u = np.meshgrid(rows, columns, indexing="ij")
    return v, u


def _disc(points: Points, centre: tuple[float, float], radii: tuple[float, float]) -> NDArray[np.bool_]:
    down, right = ((p - c) / r for p, c, r in zip(points, centre, radii, strict=True))
    return np.asarray(down**2 + right**2 < 1)


def _shrunk(canvas: NDArray[np.float64], channels: int) -> NDArray[np.float64]:
    """The mean of each pixel's points; grey is the mean of the three colours."""
    height, width = canvas.shape[0] // _FINE, canvas.shape[1] // _FINE
    small = canvas.reshape(height, _FINE, width, _FINE, 3).mean(axis=(1, 3))
    return np.asarray(small if channels == 3 else small.mean(axis=2, keepdims=True))
