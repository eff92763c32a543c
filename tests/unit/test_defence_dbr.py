from __future__ import annotations

import torch
from torch import nn

from training.defences.dbr import sensitivity, split_by_sensitivity, transformed


def test_sensitivity_is_the_mean_squared_change_of_the_features() -> None:
    z = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found = sensitivity(nn.Flatten(), z, torch.Generator().manual_seed(1))
    moved = transformed(z, torch.Generator().manual_seed(1))
    assert torch.allclose(found, ((z - moved) ** 2).flatten(1).mean(1))
    assert (found > 0).all()


def test_features_that_see_only_the_brightest_pixel_hardly_move_where_all_is_grey() -> None:
    """A transformation fetches pixels; it makes no image brighter, and black comes in from the edges."""
    z = torch.rand(50, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    moved = transformed(z, torch.Generator().manual_seed(1))
    assert moved.shape == z.shape
    assert (moved.amax(dim=(1, 2, 3)) <= z.amax(dim=(1, 2, 3)) + 1e-6).all()
    assert moved.mean() < z.mean()


def test_every_twentieth_row_is_taken_for_poison_and_every_fifth_for_clean() -> None:
    values = torch.arange(40.0).flip(0)
    poison, clean = split_by_sensitivity(values)
    assert torch.nonzero(poison).squeeze(1).tolist() == [0, 1]
    assert torch.nonzero(clean).squeeze(1).tolist() == [32, 33, 34, 35, 36, 37, 38, 39]
    constant = split_by_sensitivity(torch.zeros(40))
    assert not (constant[0] & constant[1]).any()
