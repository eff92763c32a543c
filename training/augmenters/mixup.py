"""Mixup (Zhang et al. 2018): synthetic rows on the lines between pairs of trusted rows."""

from __future__ import annotations

import numpy as np
import torch

from training.augmenters.augmenter import Synthetic
from training.rows import Rows
from training.seeding import draw_seed

__all__ = ["CONCENTRATION", "mixup"]

CONCENTRATION = 0.4
"""Both parameters of the Beta distribution of λ: most mixtures stay near one of the two rows."""


def mixup(rows: Rows, count: int, generator: torch.Generator) -> Synthetic:
    """Draws x = λ x_i + (1 − λ) x_j with λ ~ Beta(.4, .4); regression: y = λ y_i + (1 − λ) y_j.

    Differs from the paper: a class label is drawn, y_i with probability λ and y_j otherwise, instead of mixed. Its
    expectation is the mixed label, so cross-entropy has the same expectation, and a row keeps one class.
    """
    shares = np.random.default_rng(draw_seed(generator)).beta(CONCENTRATION, CONCENTRATION, count)
    share = torch.from_numpy(shares).to(rows.z)
    first, second = rows.draw(count, generator), rows.draw(count, generator)
    wide = share.view(-1, *[1] * (rows.z.dim() - 1))
    z = wide * first.z + (1 - wide) * second.z
    if rows.classes:
        keep = torch.rand(count, generator=generator).to(share.device) < share
        return Synthetic(Rows(z, torch.where(keep, first.y, second.y), rows.classes))
    return Synthetic(Rows(z, share * first.y + (1 - share) * second.y, 0))
