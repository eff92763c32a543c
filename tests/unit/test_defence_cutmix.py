from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.defences.cutmix import Mixture, draw_box


def test_labels_are_mixed_by_the_area_that_was_really_cut() -> None:
    """Each image has a grey level of its own, so that what is mixed can be read off it."""
    mixture, generator = Mixture(), torch.Generator().manual_seed(0)
    z = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8)
    for _ in range(20):
        mixed = mixture.mix(z, generator)
        own = (mixed == z).double().mean(dim=(1, 2, 3))
        partner = [int(next(iter({*image.unique().tolist()} - {float(row)}), row)) for row, image in enumerate(mixed)]
        logits, y = torch.rand(6, 3, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
        changed = torch.tensor([p != row for row, p in enumerate(partner)])
        each = [functional.cross_entropy(logits, labels, reduction="none") for labels in (y, y[partner])]
        expected = own * each[0] + (1 - own) * each[1]
        assert torch.allclose(mixture.loss(logits, y)[changed], expected[changed])
    assert (z[:, 0, 0, 0] == torch.arange(6)).all()


def test_boxes_have_the_image_shape_and_cover_what_beta_says() -> None:
    """Half of an image in the mean for λ ~ U(0, 1), less what falls off the edges."""
    generator = torch.Generator().manual_seed(1)
    boxes = np.array([draw_box(40, 80, generator) for _ in range(2000)])
    down, across = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    assert (boxes[:, [0, 2]] >= 0).all()
    assert (boxes[:, 1] <= 40).all()
    assert (boxes[:, 3] <= 80).all()
    assert (down >= 0).all()
    assert (across >= 0).all()
    inside = (boxes[:, 0] > 0) & (boxes[:, 1] < 40) & (boxes[:, 2] > 0) & (boxes[:, 3] < 80)
    assert np.abs(2 * down - across)[inside].max() <= 2
    assert 0.2 < (down * across).mean() / 3200 < 0.45


def test_a_batch_of_one_image_is_its_own_partner() -> None:
    mixture = Mixture()
    z = torch.rand(1, 1, 4, 4)
    assert torch.equal(mixture.mix(z, torch.Generator().manual_seed(0)), z)
    logits, y = torch.tensor([[1.0, 2.0]]), torch.tensor([0])
    assert mixture.loss(logits, y).item() == pytest.approx(functional.cross_entropy(logits, y).item())
