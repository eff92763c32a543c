"""Labelled rows as tensors: what augmenters and the mimic learn from and produce."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Rows", "encode_labels"]


@dataclass(frozen=True)
class Rows:
    """Labelled rows on one device.

    `z`: float32 (n, d) for tables, (n, channels, height, width) in [0, 1] for images; `y`: int64 (n,) class index, or
    float32 (n,) standardised regression label; `classes`: number of classes, 0 for regression.
    """

    z: Tensor
    y: Tensor
    classes: int

    def __len__(self) -> int:
        return len(self.z)

    @property
    def images(self) -> bool:
        """True for images, False for tables."""
        return self.z.dim() == 4

    def select(self, index: Tensor) -> Rows:
        """The rows at `index`, int64 (m,), repeats allowed."""
        index = index.to(self.z.device)
        return Rows(self.z[index], self.y[index], self.classes)

    def draw(self, count: int, generator: torch.Generator | None = None) -> Rows:
        """`count` rows drawn with replacement; without a generator from the current random state of the CPU."""
        return self.select(torch.randint(len(self), (count,), generator=generator))

    def join(self, other: Rows) -> Rows:
        """These rows, then the other ones."""
        return Rows(torch.cat([self.z, other.z]), torch.cat([self.y, other.y]), self.classes)


def encode_labels(y: Tensor, classes: int) -> Tensor:
    """Labels as network input: one-hot float32 (n, classes), or (n, 1) for regression (`classes` 0)."""
    if classes:
        return functional.one_hot(y, classes).float()
    return y.float()[:, None]
