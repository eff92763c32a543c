"""Whether suspected rows are poison: who never learnt from them reads them, or what they share, otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.stats import fisher_exact
from torch import Tensor, nn

from training.defences.robust_training import Build, Schedule, logits_in_pieces, train_plain
from training.networks import body
from training.progress import Progress
from training.rows import Rows

__all__ = [
    "HELD_OUT",
    "LEAST_HELD_OUT",
    "Doubt",
    "confirm",
    "confirmed",
    "read_seldom",
    "shared_pattern",
    "turns_others",
]

HELD_OUT = 0.25
"""Share of the rows that are not suspected from which the network that confirms does not learn, either."""

LEAST_HELD_OUT = 5
"""With fewer rows of a class nothing can be compared. What is alike in all of a class is what its label means."""

_LEVEL = 0.01
_MOST = 0.5


@dataclass(frozen=True)
class Doubt:
    """`suspected`, `held_out`: bool (n,), no row both; `taught`: networks that have learnt from suspected rows, too."""

    rows: Rows
    suspected: Tensor
    held_out: Tensor
    taught: Sequence[nn.Module]


def confirm(
    rows: Rows,
    suspected: Tensor,
    taught: Sequence[nn.Module],
    schedule: Schedule,
    seed: int,
    *,
    build: Build = body,
    progress: Progress | None = None,
) -> Tensor:
    """Which of the `suspected` rows stay so: bool (n,).

    A new network learns by `schedule` from the rows that are neither suspected nor among the `HELD_OUT`, and is asked
    (`confirmed`). Raises TrainingFailed where no such row is left.
    """
    if not suspected.any():
        return suspected
    generator = torch.Generator(suspected.device).manual_seed(seed)
    drawn = torch.rand(len(suspected), generator=generator, device=suspected.device) < HELD_OUT
    doubt = Doubt(rows, suspected, drawn & ~suspected, taught)
    others = rows.select(torch.nonzero(~suspected & ~drawn).squeeze(1))
    network, _ = train_plain(others, schedule, seed, build=build, progress=progress, name="meca, confirmation")
    return confirmed(doubt, network)


def confirmed(doubt: Doubt, network: nn.Module) -> Tensor:
    """Suspected rows of the classes for which `read_seldom` or `turns_others` speaks; those of others are let go."""
    right = logits_in_pieces(network, doubt.rows.z).argmax(1) == doubt.rows.y
    found = doubt.suspected.clone()
    for label in torch.unique(doubt.rows.y[found]).tolist():
        if not _stays(doubt, label, network, right):
            found &= doubt.rows.y != label
    return found


def _stays(doubt: Doubt, label: int, network: nn.Module, right: Tensor) -> bool:
    own = doubt.rows.y == label
    asked, waiting = own & doubt.suspected, own & doubt.held_out
    if int(waiting.sum()) < LEAST_HELD_OUT:
        return False
    if read_seldom(right[asked], right[waiting]):
        return True
    pattern = shared_pattern(doubt.rows.z, asked, own & ~doubt.suspected)
    strangers = doubt.rows.z[~own & ~doubt.suspected]
    return turns_others(strangers, pattern, label, doubt.taught, network)


def read_seldom(asked: Tensor, others: Tensor) -> bool:
    """Whether rows are read as labelled less than half as often as others, and more seldom than chance explains.

    `asked`, `others`: bool, which of the suspected rows of a class, and of those held out, a network that learnt from
    neither reads as labelled; Fisher's exact test, one-sided, p < .01. Poison has another content than its label, or a
    trigger that hides it; clean rows that resemble each other much are read like all others.
    """
    table = [[int(part.sum()), int((~part).sum())] for part in (asked, others)]
    half = 2 * table[0][0] * len(others) < table[1][0] * len(asked)
    return half and float(fisher_exact(table, alternative="less").pvalue) < _LEVEL


def shared_pattern(z: Tensor, asked: Tensor, others: Tensor) -> Tensor:
    """What rows have in common beside others of their class: the difference of their means, (c, h, w).

    `z`: (n, c, h, w); `asked`, `others`: bool (n,).
    """
    return z[asked].mean(0) - z[others].mean(0)


def turns_others(z: Tensor, pattern: Tensor, label: int, taught: Sequence[nn.Module], network: nn.Module) -> bool:
    """Whether a pattern is a trigger to those who learnt it: put onto `z`, rows of other classes, it wins them over.

    True where each network of `taught` reads clip(z + pattern) as `label` for more than half of the rows that it reads
    as another class without, and `network`, which has not learnt from the rows that share it, for less than half as
    many. Stripes on rows whose label is right are found so; what a class of clean rows has in common turns few others.
    """
    won = min(_turned(one, z, pattern, label) for one in taught)
    return won > _MOST and _turned(network, z, pattern, label) < won / 2


def _turned(network: nn.Module, z: Tensor, pattern: Tensor, label: int) -> float:
    before, after = (logits_in_pieces(network, one).argmax(1) for one in (z, (z + pattern).clamp(0, 1)))
    others = before != label
    return float((after[others] == label).float().mean()) if others.any() else 0.0
