"""Preprocessing that is part of the exported graph: training and serving cannot disagree about it."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.spec import CategoryColumn, Column, InputSpec, NumberColumn, TableInput

__all__ = ["CLIP", "ImagePreprocess", "LabelScale", "Preprocess", "TablePreprocess", "grey_images"]

CLIP = 8.0
"""Scaled numbers are cut to [−CLIP, CLIP]: one absurd but legal value must not saturate every network behind it."""

_TINY = np.finfo(np.float64).tiny


class Preprocess(nn.Module):
    """Maps encoded x (see `guard.spec`) to z, the float32 input of every member. Made by `fit`."""

    @staticmethod
    def fit(spec: InputSpec, x: NDArray[np.generic], rows: NDArray[np.int64]) -> Preprocess:
        """Learns medians and scales from the given rows of x alone; the other rows are never looked at.

        `x`: float64 (n, columns) or uint8 (n, height, width, channels); `rows`: int64 indices into it.
        """
        if not isinstance(spec.input, TableInput):
            return ImagePreprocess()
        return TablePreprocess(spec.input.columns, x[rows].astype(np.float64))


class ImagePreprocess(Preprocess):
    """uint8 (n, height, width, channels) to float32 (n, channels, height, width) in [0, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """Channels first, divided by 255."""
        return x.permute(0, 3, 1, 2).to(torch.float32) / 255.0


def grey_images(z: Tensor) -> NDArray[np.uint8]:
    """The way back of `ImagePreprocess`, each pixel rounded: uint8 (n, height, width, channels)."""
    levels = (255 * z.detach()).round().permute(0, 2, 3, 1).contiguous()
    return np.asarray(levels.cpu().numpy().astype(np.uint8))


class TablePreprocess(Preprocess):
    """float64 (n, columns) to float32 (n, d): scaled numbers, then one-hot categories, then gap indicators.

    Numbers: gaps become the median; v ↦ (v − mean) / standard deviation, cut to ±CLIP. Columns of two values become
    0 and 1, constant columns are only shifted; booleans stay 0 and 1. Categories: one slot per value, all zero for a
    gap and for an index that the specification does not know. Indicators: 1 where a column that may have gaps has one.
    `names`: tuple of d texts, one for each column of z.
    """

    def __init__(self, columns: tuple[Column, ...], x: NDArray[np.float64]) -> None:
        super().__init__()
        scalars = [i for i, column in enumerate(columns) if not isinstance(column, CategoryColumn)]
        slots = [(i, v) for i, c in enumerate(columns) if isinstance(c, CategoryColumn) for v in range(len(c.values))]
        gaps = [i for i, column in enumerate(columns) if column.gaps]
        blocks: list[nn.Module] = []
        if scalars:
            blocks.append(_Numbers(scalars, [_scaling(columns[i], x[:, i]) for i in scalars]))
        if slots:
            blocks.append(_OneHot(slots))
        if gaps:
            blocks.append(_Gaps(gaps))
        self.blocks = nn.ModuleList(blocks)
        self.names = (
            *(columns[i].name for i in scalars),
            *(f"{columns[i].name} = {cast('CategoryColumn', columns[i]).values[v]}" for i, v in slots),
            *(f"{columns[i].name} is missing" for i in gaps),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The blocks side by side."""
        return torch.cat([block(x) for block in self.blocks], dim=1)


class LabelScale(nn.Module):
    """Regression label, float64 (n,), to float32 (n,) with mean 0 and standard deviation 1 over the fitted rows."""

    mean: Tensor
    scale: Tensor

    def __init__(self, y: NDArray[np.float64]) -> None:
        super().__init__()
        mean, scale = _moments(y)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float64))

    def forward(self, y: Tensor) -> Tensor:
        """(y − mean) / scale."""
        return ((y - self.mean) / self.scale).to(torch.float32)

    def inverse(self, standardised: Tensor) -> Tensor:
        """Back to the unit of the snapshot, float64 (n,)."""
        return standardised.to(torch.float64) * self.scale + self.mean


class _Numbers(nn.Module):
    """Columns of numbers and booleans, double precision until they are scaled."""

    index: Tensor
    fill: Tensor
    centre: Tensor
    scale: Tensor

    def __init__(self, index: list[int], scaling: list[tuple[float, float, float]]) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor(index))
        for name, values in zip(("fill", "centre", "scale"), zip(*scaling, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        value = x.index_select(1, self.index)
        value = torch.where(torch.isnan(value), self.fill, value)
        return ((value - self.centre) / self.scale).clamp(-CLIP, CLIP).to(torch.float32)


class _OneHot(nn.Module):
    """One slot per (column, category); comparing with NaN is false, so that a gap lights none."""

    index: Tensor
    value: Tensor

    def __init__(self, slots: list[tuple[int, int]]) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor([i for i, _ in slots]))
        self.register_buffer("value", torch.tensor([float(v) for _, v in slots], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x.index_select(1, self.index) == self.value).to(torch.float32)


class _Gaps(nn.Module):
    """1 where a value is missing."""

    index: Tensor

    def __init__(self, index: list[int]) -> None:
        super().__init__()
        self.register_buffer("index", torch.tensor(index))

    def forward(self, x: Tensor) -> Tensor:
        return torch.isnan(x.index_select(1, self.index)).to(torch.float32)


def _scaling(column: Column, values: NDArray[np.float64]) -> tuple[float, float, float]:
    """(what fills a gap, centre, scale) of one column of numbers or booleans."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return 0.0, 0.0, 1.0
    median = float(np.median(known / 2)) * 2  # the mean of two huge middle values must not overflow
    if not isinstance(column, NumberColumn):
        return median, 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    if len(np.unique(known)) > 2:
        return median, *_moments(known)
    return median, low, high - low if _TINY < high - low < np.inf else 1.0


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation, without overflow for any finite values; the deviation is 1 where there is none."""
    largest = float(np.abs(values).max())
    if largest < _TINY:
        return 0.0, 1.0
    unit = values / largest
    deviation = float(unit.std()) * largest
    return float(unit.mean()) * largest, deviation if deviation > _TINY else 1.0
