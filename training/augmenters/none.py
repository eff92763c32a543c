"""No augmentation: the rows that are learned from are the trusted rows."""

from __future__ import annotations

import torch

from training.augmenters.augmenter import Synthetic
from training.rows import Rows

__all__ = ["none"]


def none(rows: Rows, count: int, generator: torch.Generator) -> Synthetic:  # noqa: ARG001 – the interface
    """No synthetic rows, whatever the count."""
    return Synthetic(rows.select(torch.empty(0, dtype=torch.int64)))
