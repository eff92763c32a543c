"""The one graph of a bundle: encoded samples in, one score per member, a suggested label and features out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from training.preprocess import LabelScale, Preprocess

__all__ = ["FEATURE_SIDE", "ClassLabels", "GuardGraph", "features_of"]

FEATURE_SIDE = 14
"""Images are pooled to at most this many pixels a side before neighbours are sought: 28 × 28 digits keep their strokes,
and distances to 2000 trusted rows stay cheap."""


class ClassLabels(nn.Module):
    """Class labels as members see them: int64 (batch,) in [0, classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, y: Tensor) -> Tensor:
        """The nearest index that exists: no member can read out of bounds."""
        return y.clamp(0, self.classes - 1)

    def unknown(self, y: Tensor) -> Tensor:
        """True where y is no class of the specification."""
        return (y < 0) | (y >= self.classes)


class GuardGraph(nn.Module):
    """Preprocessing, members and suggestion as one module, the way that `guard.manifest` describes the graph.

    `scorers`: modules (z, y) → (batch,), in the order of the manifest's members; `suggest`: module z → class scores
    (batch, classes) or standardised values (batch,).
    """

    def __init__(
        self,
        preprocess: Preprocess,
        labels: ClassLabels | LabelScale,
        scorers: Sequence[nn.Module],
        suggest: nn.Module,
    ) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.labels = labels
        self.scorers = nn.ModuleList(scorers)
        self.suggest = suggest

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(scores, suggestion, features) of a batch.

        A class index outside the specification makes every score NaN: the guard holds what it cannot score.
        """
        z = self.preprocess(x)
        target = self.labels(y)
        scores = torch.stack([scorer(z, target) for scorer in self.scorers], dim=1).to(torch.float32)
        suggestion = self.suggest(z)
        if isinstance(self.labels, LabelScale):
            return scores, self.labels.inverse(suggestion), features_of(z)
        scores = torch.where(self.labels.unknown(y)[:, None], torch.nan, scores)
        return scores, suggestion.argmax(dim=1), features_of(z)


def features_of(z: Tensor) -> Tensor:
    """float32 (batch, d) in which neighbours are sought: z itself, or images averaged to ≤ FEATURE_SIDE a side."""
    if z.ndim == 2:
        return z
    cell = [-(-side // FEATURE_SIDE) for side in z.shape[2:]]
    return F.avg_pool2d(z, cell).flatten(1)
