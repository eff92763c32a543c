"""Unlearning: a network climbs the loss of suspected rows, and keeps what the others taught it."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from training.defences.robust_training import Curriculum, Schedule, train_robustly
from training.rows import Rows

__all__ = ["unlearned"]


def unlearned(
    network: nn.Sequential, rows: Rows, suspected: Tensor, kept: Tensor, schedule: Schedule, seed: int
) -> nn.Sequential:
    """A copy of `network` that minimises mean CE(kept) - mean CE(suspected), the second no further than a guess.

    `suspected`, `kept`: bool (n,), disjoint; rows in neither teach nothing.
    """
    found, curriculum = copy.deepcopy(network), Curriculum.of(rows)
    curriculum.drop(~kept)
    if suspected.any():
        curriculum.unlearn(suspected, 1.0)
    train_robustly(found, curriculum, schedule, seed)
    return found
