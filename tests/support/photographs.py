"""Images with the statistics that matter to a codec: smooth in space, more light than colour, hardly ever saturated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


def photographs(n: int, side: int = 32, seed: int = 0, grain: float = 0.0) -> NDArray[np.uint8]:
    """uint8 (n, side, side, 3), never coded. `grain`: most noise of a camera, in grey levels; each has its own."""
    rng = np.random.default_rng(seed)
    light = gaussian_filter(rng.normal(size=(n, side, side, 1)), sigma=(0, 2, 2, 0))
    colour = gaussian_filter(rng.normal(size=(n, side, side, 3)), sigma=(0, 4, 4, 0))
    noise = grain * rng.uniform(size=(n, 1, 1, 1)) * rng.normal(size=light.shape)
    return np.clip(128 + 200 * light + 150 * colour + noise, 0, 255).astype(np.uint8)
