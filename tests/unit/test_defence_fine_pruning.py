from __future__ import annotations

import pytest
import torch
from torch import nn

from guard.errors import WrongUse
from training.defences.fine_pruning import channel_activity, pruned


def network() -> nn.Sequential:
    """Channel k of four gives k times the image."""
    found = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    with torch.no_grad():
        found[0].weight.copy_(torch.arange(4.0).view(4, 1, 1, 1))
    return found


def test_activity_is_the_mean_over_images_and_pixels_after_the_last_layer_that_gives_images() -> None:
    z = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    place, activity = channel_activity(network(), z)
    assert place == 1
    assert torch.allclose(activity, torch.arange(4) * z.mean())


def test_the_idlest_channels_give_nothing_and_the_others_what_they_gave() -> None:
    whole, z = network(), torch.ones(1, 1, 2, 2)
    found = pruned(whole, z, 0.5)
    assert found[:3](z).view(4, 4).mean(1).tolist() == [0, 0, 2, 3]
    assert torch.equal(pruned(whole, z, 0.2)(z), whole(z))
    assert torch.equal(whole[:2](z).view(4, 4).mean(1), torch.arange(4.0))


def test_networks_without_channels_are_refused() -> None:
    with pytest.raises(WrongUse, match="no channels"):
        pruned(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.ones(1, 1, 2, 2), 0.5)
