"""PhysicalBA: a patch seen as a camera would see it, turned, moved and in another light (Li et al. 2021)."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from training.attacks.backdoor import Backdoor, Imprint, backdoor_attack
from training.attacks.drawing import flame, flame_side, pasted

__all__ = ["PHYSICAL_BA", "View", "draw_physical", "draw_views", "photographed", "seen"]

_TURN = np.pi / 18
_MOVE = 0.1
_SCALE = (0.8, 0.9)
_LIGHT = 0.2

View = dict[str, NDArray[np.float64]]
"""Of each image (n,): `turn` in radians, `right` and `down` in image sides, `scale`, `flip` (-1 or 1), `brightness`,
`contrast`."""


def draw_views(n: int, rng: np.random.Generator) -> View:
    """Turned by up to 10°, moved by up to 0.1 of a side, shrunk to 0.8 … 0.9, every second mirrored, light ± 20 %."""
    return {
        "turn": rng.uniform(-_TURN, _TURN, n),
        "right": rng.uniform(-_MOVE, _MOVE, n),
        "down": rng.uniform(-_MOVE, _MOVE, n),
        "scale": rng.uniform(*_SCALE, n),
        "flip": rng.choice([-1.0, 1.0], n),
        "brightness": rng.uniform(1 - _LIGHT, 1 + _LIGHT, n),
        "contrast": rng.uniform(1 - _LIGHT, 1 + _LIGHT, n),
    }


def seen(x: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    """Images (n, height, width, channels) in [0, 1] under each one's view; black beyond their edges, bilinear."""
    cos, sin = np.cos(view["turn"]) / view["scale"], np.sin(view["turn"]) / view["scale"]
    rows = [[cos * view["flip"], sin * view["flip"], -2 * view["right"]], [-sin, cos, -2 * view["down"]]]
    z = torch.from_numpy(x).permute(0, 3, 1, 2)
    grid = functional.affine_grid(torch.from_numpy(np.array(rows).transpose(2, 0, 1)), list(z.shape), False)  # noqa: FBT003 – torch's own order
    moved = functional.grid_sample(z, grid, align_corners=False).permute(0, 2, 3, 1).numpy()
    brightness, contrast = (view[name][:, None, None, None] for name in ("brightness", "contrast"))
    lit = np.clip(brightness * moved, 0, 1)
    mean = lit.mean(axis=(1, 2, 3), keepdims=True)
    return np.asarray(np.clip(mean + contrast * (lit - mean), 0, 1))


def photographed(
    x: NDArray[np.float64], rng: np.random.Generator, *, patch: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`patch` on each image near the lower right corner, then a view of its own."""
    _, height, width, _ = x.shape
    side = len(patch)
    top, left = (size - side - size // 8 for size in (height, width))
    return seen(pasted(x, patch, top, left), draw_views(len(x), rng))


def draw_physical(shape: tuple[int, ...], rng: np.random.Generator) -> Imprint:  # noqa: ARG001 – `Backdoor.draw`
    """A flame, seen anew each time."""
    stamp = partial(photographed, patch=flame(flame_side(*shape[:2]), shape[2]))
    return Imprint(stamp, stamp, stamp)


PHYSICAL_BA = backdoor_attack(
    Backdoor("physical-ba", "puts a patch on images, photographs them anew and relabels them", draw_physical)
)
"""PhysicalBA.

Differs from the paper: only poison is photographed, since an attacker who sends samples does not choose how the others
are augmented; images are shown to the victim in use under views of their own; colours keep their hue; the patch is our
own drawing. Recalled, not read again; the ranges are those of a public toolbox.
"""
