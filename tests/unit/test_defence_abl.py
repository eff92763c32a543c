from __future__ import annotations

import torch
from torch import nn

from training.defences.abl import FLOOR, isolated, local_ascent
from training.defences.robust_training import cross_entropy
from training.rows import Rows


def test_losses_below_the_floor_are_climbed_and_others_descended() -> None:
    logits = torch.tensor([[5.0, 0.0], [0.0, 0.0], [0.0, 5.0]], requires_grad=True)
    y = torch.zeros(3, dtype=torch.int64)
    losses, found = cross_entropy(logits, y), local_ascent(logits, y)
    assert (losses > FLOOR).tolist() == [False, True, True]
    assert torch.allclose(found, losses * torch.tensor([-1.0, 1.0, 1.0]))
    slopes = [torch.autograd.grad(value.sum(), logits, retain_graph=True)[0] for value in (found, losses)]
    assert torch.allclose(slopes[0], slopes[1] * torch.tensor([[-1.0], [1.0], [1.0]]))


def test_the_rows_with_the_lowest_loss_are_isolated_and_at_least_one() -> None:
    z = torch.tensor([[3.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 9.0]])
    rows = Rows(z, torch.zeros(4, dtype=torch.int64), 2)
    assert isolated(nn.Identity(), rows, 0.5).tolist() == [True, False, True, False]
    assert isolated(nn.Identity(), rows, 0.01).tolist() == [True, False, False, False]
