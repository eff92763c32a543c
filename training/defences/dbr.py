"""DBR: rows whose features change most under transformation are unlearnt, the steadiest relearnt (Chen et al. 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.defences.backdoor_defence import BackdoorDefence, Doubtful, features_of
from training.defences.robust_training import Schedule, logits_in_pieces
from training.defences.unlearning import unlearned

__all__ = ["CLEAN", "DBR", "POISON", "sensitivity", "split_by_sensitivity", "transformed"]

POISON, CLEAN = 0.05, 0.20
"""Shares of rows that are taken for poison and for clean."""

_TURN = math.pi / 6
_MOVE = 0.2
_UNLEARNING = Schedule(epochs=5, drops=(), rate=5e-4)


def transformed(z: Tensor, generator: torch.Generator) -> Tensor:
    """Each image (n, channels, height, width) turned by up to 30° and moved by up to 0.2 of a side; black beyond."""
    turn, right, down = (2 * torch.rand(3, len(z), generator=generator, device=z.device) - 1).unbind()
    cos, sin = torch.cos(_TURN * turn), torch.sin(_TURN * turn)
    rows = torch.stack([cos, sin, -2 * _MOVE * right, -sin, cos, -2 * _MOVE * down], dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(rows, list(z.shape), align_corners=False)
    return functional.grid_sample(z, grid, align_corners=False)


def sensitivity(features: nn.Module, z: Tensor, generator: torch.Generator) -> Tensor:
    """FCT_i = mean over features of (φ(x_i) - φ(T x_i))², T drawn for each image: float32 (n,)."""
    before, after = (logits_in_pieces(features, images) for images in (z, transformed(z, generator)))
    return (before - after).square().mean(dim=1)


def split_by_sensitivity(values: Tensor) -> tuple[Tensor, Tensor]:
    """Which rows are taken for poison, the 5 % most sensitive, and for clean, the 20 % least sensitive: bool (n,)."""
    order = values.argsort(stable=True)
    poison, clean = (torch.zeros(len(values), dtype=torch.bool, device=values.device) for _ in range(2))
    poison[order[len(values) - math.ceil(POISON * len(values)) :]] = True
    clean[order[: math.ceil(CLEAN * len(values))]] = True
    return poison, clean


def _run(doubtful: Doubtful) -> nn.Module:
    rows, generator = doubtful.rows, torch.Generator(doubtful.rows.z.device).manual_seed(doubtful.seed)
    values = sensitivity(features_of(doubtful.network), rows.z, generator)
    poison, clean = split_by_sensitivity(values)
    return unlearned(doubtful.network, rows, poison, clean, _UNLEARNING, doubtful.seed)


DBR = BackdoorDefence(
    name="dbr",
    description="unlearns rows whose features change most when the image is turned, and relearns the steadiest",
    needs="nothing but a trained network",
    run=_run,
)
"""D-BR: it takes poison for fragile, the opposite of MeCa.

Differs from the paper: poison and clean rows are unlearnt and relearnt in the same batches, not in turn; no loss within
classes; features are the penultimate ones, as in the paper and not as in a public benchmark. Recalled, not read again;
the shares are MeCa's.
"""
