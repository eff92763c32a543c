"""The one interface of all augmenters: trusted rows in, synthetic rows out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch

from training.rows import Rows

__all__ = ["Augmenter", "AugmenterName", "Synthetic"]

AugmenterName = Literal["cgan", "mixup", "smote", "none"]
"""`cgan` is the paper's; the others are what it is measured against."""


@dataclass(frozen=True)
class Synthetic:
    """Synthetic rows Ss', and the training curves of what made them (empty where nothing was trained)."""

    rows: Rows
    curves: dict[str, list[float]] = field(default_factory=dict)


Augmenter = Callable[[Rows, int, torch.Generator], Synthetic]
"""(trusted rows, count, generator on the CPU) → `count` synthetic rows of the same shape, dtype and device."""
