"""SMOTE (Chawla et al. 2002) and SMOTE-R (Torgo et al. 2013): synthetic rows between near neighbours of one class."""

from __future__ import annotations

import torch
from torch import Tensor

from training.augmenters.augmenter import Synthetic
from training.rows import Rows

__all__ = ["NEIGHBOURS", "smote"]

NEIGHBOURS = 5
"""Neighbours among which the partner is drawn, as in Chawla et al."""

_CHUNK = 1024
"""Seeds whose distances are held at once: 1024 × 60,000 float32 are 250 MB."""


def smote(rows: Rows, count: int, generator: torch.Generator) -> Synthetic:
    """Draws x = x_i + u (x_j − x_i), u ~ U(0, 1), j one of the five nearest rows to i of its class.

    Regression: neighbours are sought among all rows, and y = y_i + u (y_j − y_i). A row without a neighbour is
    repeated as it is.

    Differs from the paper: classes keep their shares (the aim is more rows, not balance), and in regression every
    row may be a seed, not only rare ones.
    """
    seeds = torch.randint(len(rows), (count,), generator=generator)
    ranks = torch.rand(count, generator=generator)
    partners = _partners(rows, seeds, ranks).to(rows.z.device)
    step = torch.rand(count, generator=generator).to(rows.z.device)
    first, second = rows.select(seeds), rows.select(partners)
    z = torch.lerp(first.z, second.z, step.view(-1, *[1] * (rows.z.dim() - 1)))
    y = first.y if rows.classes else torch.lerp(first.y, second.y, step)
    return Synthetic(Rows(z, y, rows.classes))


def _partners(rows: Rows, seeds: Tensor, ranks: Tensor) -> Tensor:
    """For each seed the row number of its partner; `ranks` in [0, 1) say which of the neighbours it is."""
    labels = rows.y.cpu() if rows.classes else torch.zeros(len(rows), dtype=torch.int64)
    flat = rows.z.flatten(1)
    partners = seeds.clone()
    for label in torch.unique(labels[seeds]):
        members = torch.nonzero(labels == label)[:, 0]
        reach = min(NEIGHBOURS, len(members) - 1)
        if reach:
            for chunk in torch.split(torch.nonzero(labels[seeds] == label)[:, 0], _CHUNK):
                near = _nearest(flat, seeds[chunk], members, reach)
                chosen = (ranks[chunk] * reach).long()
                partners[chunk] = near[torch.arange(len(chunk)), chosen]
    return partners


def _nearest(flat: Tensor, seeds: Tensor, members: Tensor, reach: int) -> Tensor:
    """Row numbers (m, reach) of the nearest members to each seed, the seed itself left out."""
    device = flat.device
    distance = torch.cdist(flat[seeds.to(device)], flat[members.to(device)])
    distance[seeds[:, None].to(device) == members[None, :].to(device)] = torch.inf
    return members[distance.topk(reach, largest=False).indices.cpu()]
