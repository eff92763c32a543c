"""The paper's augmenter behind the interface of all augmenters."""

from __future__ import annotations

import torch

from training.augmenter import AugmenterSettings, train_augmenter
from training.augmenters.augmenter import Augmenter, Synthetic
from training.progress import Progress
from training.rows import Rows

__all__ = ["cgan"]


def cgan(settings: AugmenterSettings, progress: Progress) -> Augmenter:
    """Trains cGAN and authenticator on the rows that it is given, then samples from the generator."""

    def augment(rows: Rows, count: int, generator: torch.Generator) -> Synthetic:
        trained = train_augmenter(rows, settings, generator, progress)
        return Synthetic(trained.sample(count, generator), trained.curves)

    return augment
