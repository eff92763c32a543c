"""Rows that are alone in gradient space, by the gradient of the last layer alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.defences.epic.facility_location import choose_medoids

__all__ = ["SMALLEST_CLASS", "gradient_proxy", "isolated_rows"]

SMALLEST_CLASS = 10
"""A class with fewer rows is left alone: every one of them lies far from the others."""


def gradient_proxy(logits: Tensor, y: Tensor) -> Tensor:
    """g_i = softmax(f(x_i)) - onehot(y_i), the gradient of row i's cross-entropy by the logits: (n, C), (n,) → (n, C).

    The gradient by the last layer's weights is its outer product with the features, by the bias it is g_i itself.
    """
    gradient = torch.softmax(logits, 1)
    gradient[torch.arange(len(y), device=y.device), y] -= 1
    return gradient


def isolated_rows(gradient: Tensor, y: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Which rows represent nobody but themselves, bool (n,), and the size of each row's cluster, int64 (n,).

    In each class ⌈share · n_c⌉ medoids are chosen by greedy facility location on `gradient` (n, C), and every row goes
    to the nearest of them. Isolated are medoids whose cluster is theirs alone.
    Classes of fewer than `SMALLEST_CLASS` rows have no isolated one; their cluster is the class.
    """
    isolated = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    size = torch.zeros(len(y), dtype=torch.int64, device=y.device)
    for label in torch.unique(y):
        rows = torch.nonzero(y == label).squeeze(1)
        if len(rows) < SMALLEST_CLASS:
            size[rows] = len(rows)
            continue
        found = choose_medoids(gradient[rows], math.ceil(share * len(rows)))
        size[rows] = found.sizes[found.assigned]
        isolated[rows[found.rows[found.sizes == 1]]] = True
    return isolated, size
