"""The bundles that benchmarks run: trained by the product itself, small and fast, with the graphs of real ones.

How long a graph takes depends on its members and the size of their banks, not on how well it was trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.errors import InputUnreadable
from guard.spec import CategoryColumn, ClassLabel, ImageInput, InputSpec, NumberColumn, TableInput
from tests.support.bundles import draw_samples

__all__ = ["IMAGES", "TABLE", "image_samples", "train"]

IMAGES = InputSpec(input=ImageInput(height=28, width=28, channels=1), label=ClassLabel(values=tuple(range(10))))
TABLE = InputSpec(
    input=TableInput(
        columns=(
            *(NumberColumn(name=f"measure_{index}", minimum=-1000, maximum=1000) for index in range(10)),
            CategoryColumn(name="region", values=("north", "east", "south", "west")),
            CategoryColumn(name="device", values=("phone", "tablet", "desktop")),
        )
    ),
    label=ClassLabel(values=("low", "middle", "high")),
)
_TRUSTED = 2000


def image_samples(count: int) -> tuple[str, NDArray[Any], NDArray[Any]]:
    """What they are, then `count` images and labels: MNIST where it is at hand, else drawn ones of the same size."""
    from training.datasets import load_mnist

    try:
        data = load_mnist()
    except InputUnreadable:
        return ("drawn images of 28 x 28", *draw_samples(IMAGES, count, 3))
    return "MNIST", data.x[:count], data.y[:count]


def train(path: Path, spec: InputSpec, x: NDArray[Any], y: NDArray[Any]) -> Path:
    """A bundle trained with the preset `fast` on the first 2000 samples."""
    from training.job import train_bundle
    from training.snapshot import snapshot_from_arrays

    snapshot = snapshot_from_arrays(x[:_TRUSTED], np.asarray(y[:_TRUSTED]), spec)
    train_bundle(snapshot, path, preset="fast", device="cpu")
    return path
