"""Whether suspected rows are poison: a network that learns from the other rows alone does not read them as labelled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import fisher_exact
from torch import Tensor, nn

from training.defences.robust_training import Curriculum, logits_in_pieces
from training.rows import Rows

__all__ = ["HELD_OUT", "LEAST_HELD_OUT", "Confirmation", "confirmed"]

HELD_OUT = 0.25
"""Share of the rows that are not suspected which wait until the verdict, so that the network has seen neither them nor
the suspected ones."""

LEAST_HELD_OUT = 5
"""With fewer rows of a class nothing can be compared. What is alike in all of a class is what its label means."""

_LEVEL = 0.01


@dataclass
class Confirmation:
    """The hook: rows that are `suspected`, and `held_out`, bool (n,), teach nothing before epoch `at`.

    Then suspected rows are confirmed or let go, and all others teach. `suspected` is the verdict from then on.
    """

    rows: Rows
    suspected: Tensor
    held_out: Tensor
    at: int

    @staticmethod
    def of(rows: Rows, suspected: Tensor, at: int, seed: int) -> Confirmation:
        """`HELD_OUT` of the rows that are not `suspected` are drawn."""
        generator = torch.Generator(suspected.device).manual_seed(seed)
        drawn = torch.rand(len(suspected), generator=generator, device=suspected.device) < HELD_OUT
        return Confirmation(rows, suspected, drawn & ~suspected, at)

    def __call__(self, epoch: int, network: nn.Module, curriculum: Curriculum) -> None:
        """See `Hook`."""
        if epoch == 0:
            curriculum.drop(self.suspected | self.held_out)
        if epoch == self.at:
            right = logits_in_pieces(network, self.rows.z).argmax(1) == self.rows.y
            self.suspected = confirmed(self.suspected, self.held_out, right, self.rows.y)
            curriculum.reweight(~self.suspected, 1.0)


def confirmed(suspected: Tensor, held_out: Tensor, right: Tensor, y: Tensor) -> Tensor:
    """Which of the `suspected` rows stay so, bool (n,), by classes.

    `right`: whether a row is read as its label y says. A class is let go unless its suspected rows are read as labelled
    less than half as often as those held out, and more seldom than chance explains (Fisher's exact test, one-sided,
    p < .01). Poison has another content than its label, or a trigger that hides it; clean rows that resemble each other
    much are read like all others.
    """
    found = suspected.clone()
    for label in torch.unique(y[suspected]):
        own = y == label
        asked, others = right[own & suspected], right[own & held_out]
        if len(others) < LEAST_HELD_OUT or not _read_seldom(asked, others):
            found[own] = False
    return found


def _read_seldom(asked: Tensor, others: Tensor) -> bool:
    table = [[int(part.sum()), int((~part).sum())] for part in (asked, others)]
    half = 2 * table[0][0] * len(others) < table[1][0] * len(asked)
    return half and float(fisher_exact(table, alternative="less").pvalue) < _LEVEL
