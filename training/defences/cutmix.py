"""CutMix: a network is trained on images with a piece of another pasted in, and on both labels (Yun et al. 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.defences.backdoor_defence import BackdoorDefence, Doubtful, new_network
from training.defences.robust_training import Curriculum, train_robustly

__all__ = ["CUTMIX", "Mixture", "draw_box"]

Box = tuple[int, int, int, int]
"""Top, bottom, left, right: rows and columns from the first to before the second."""


class Mixture:
    """Batches with a piece of another image in each, and their loss; the loss is that of the batch mixed last."""

    def __init__(self) -> None:
        self._partner = torch.zeros(0, dtype=torch.int64)
        self._own = 1.0

    def mix(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """A box of each image (batch, channels, height, width) becomes that of a partner drawn from the batch."""
        self._partner = torch.randperm(len(z), generator=generator, device=z.device)
        top, bottom, left, right = draw_box(z.shape[2], z.shape[3], generator)
        mixed = z.clone()
        mixed[:, :, top:bottom, left:right] = z[self._partner, :, top:bottom, left:right]
        self._own = 1 - (bottom - top) * (right - left) / (z.shape[2] * z.shape[3])
        return mixed

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """λ CE(y) + (1 - λ) CE(y of the partner), λ the share of the image that is its own: (batch,)."""
        own, other = (functional.cross_entropy(logits, labels, reduction="none") for labels in (y, y[self._partner]))
        return self._own * own + (1 - self._own) * other


def draw_box(height: int, width: int, generator: torch.Generator) -> Box:
    """A box of the image's shape and the area 1 - λ, λ ~ Beta(1, 1), around a uniform centre, cut off at the edges."""
    share, down, across = torch.rand(3, generator=generator, device=generator.device).tolist()
    edges: list[int] = []
    for size, centre in ((height, down), (width, across)):
        reach, middle = int(size * (1 - share) ** 0.5), int(size * centre)
        edges += [max(0, middle - reach // 2), min(size, middle - reach // 2 + reach)]
    return edges[0], edges[1], edges[2], edges[3]


def _run(doubtful: Doubtful) -> nn.Module:
    network, mixture = new_network(doubtful), Mixture()
    train_robustly(
        network,
        Curriculum.of(doubtful.rows),
        doubtful.schedule,
        doubtful.seed,
        loss=mixture.loss,
        augment=mixture.mix,
    )
    return network


CUTMIX = BackdoorDefence(
    name="cutmix",
    description="trains a new network on images with a piece of another pasted in",
    needs="nothing",
    run=_run,
)
"""CutMix as a defence (Borgnia et al. 2021), β = 1 in every batch.

Differs from MeCa's, whose probability and β are not known: those of a public toolbox. The label is mixed by the area
that was really cut. Recalled, not read again.
"""
