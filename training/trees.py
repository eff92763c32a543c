"""A fitted forest of scikit-learn as a torch module, so that it goes into the one exported graph."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from torch import Tensor, nn

__all__ = ["Forest"]


class Forest(nn.Module):
    """The mean prediction of a forest of regression trees: float32 (batch, d) → (batch,), equal to scikit-learn's.

    All trees lie in one array of nodes; a leaf is its own child, so that every row may walk the full depth. One step
    per level gathers, for (batch, trees) positions at once, the feature to look at and the child to go to.
    """

    feature: Tensor
    threshold: Tensor
    child: Tensor
    value: Tensor
    root: Tensor

    def __init__(self, forest: ExtraTreesRegressor) -> None:
        super().__init__()
        trees = [estimator.tree_ for estimator in forest.estimators_]
        root = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        self.depth = max(tree.max_depth for tree in trees)
        feature = np.concatenate([np.maximum(tree.feature, 0) for tree in trees])
        threshold = np.concatenate([tree.threshold for tree in trees])
        child = np.concatenate([_children(tree, start) for tree, start in zip(trees, root, strict=True)])
        value = np.concatenate([tree.value[:, 0, 0] for tree in trees])
        self.register_buffer("feature", torch.tensor(feature, dtype=torch.int64))
        self.register_buffer("threshold", torch.from_numpy(_round_down(threshold)))
        self.register_buffer("child", torch.from_numpy(child.reshape(-1)))
        self.register_buffer("value", torch.tensor(value, dtype=torch.float32))
        self.register_buffer("root", torch.from_numpy(root))

    def forward(self, z: Tensor) -> Tensor:
        """Predicts a batch."""
        batch, width = z.shape
        # One flat position per (row, tree): in the exported graph one axis takes a single Gather, two take seven nodes.
        node = self.root.repeat(batch)
        row = (torch.arange(batch, device=z.device) * width).repeat_interleave(len(self.root))
        flat = z.flatten()
        for _ in range(self.depth):
            value = flat.index_select(0, row + self.feature.index_select(0, node))
            right = value > self.threshold.index_select(0, node)
            node = self.child.index_select(0, 2 * node + right.long())
        return self.value.index_select(0, node).reshape(batch, -1).mean(1)


def _children(tree: object, start: int) -> NDArray[np.int64]:
    """(nodes, 2): positions of the left and right child in the one array; a leaf's are the leaf itself."""
    pairs = np.stack([tree.children_left, tree.children_right], 1).astype(np.int64)  # type: ignore[attr-defined]
    return np.where(pairs < 0, np.arange(len(pairs))[:, None], pairs) + start


def _round_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above each threshold: for a float32 x, x ≤ threshold stays true exactly where it was."""
    rounded = threshold.astype(np.float32)
    below: NDArray[np.float32] = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded > threshold, below, rounded)
