from __future__ import annotations

import pytest
import torch
from torch import nn

from training.residual_network import Residual, residual_network, resnet18


def test_resnet18_has_as_many_weights_as_published_for_images_of_32_pixels() -> None:
    """3 × 3 stem, no pooling: 11,173,962 for 10 classes, the number that everybody prints."""
    network = resnet18(torch.Size((3, 32, 32)), 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_173_962


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 9, 13)])
def test_any_image_gives_one_logit_a_class_and_features_before_the_last_layer(shape: tuple[int, int, int]) -> None:
    network = residual_network(torch.Size(shape), 7, widths=(4, 8, 16)).eval()
    z = torch.rand(2, *shape)
    assert network(z).shape == (2, 7)
    assert network[:-1](z).shape == (2, 16)


def test_a_block_adds_to_its_input() -> None:
    block = Residual(4, 4, 1).eval()
    nn.init.zeros_(block.branch[-1].weight)
    z = torch.rand(2, 4, 5, 5)
    assert torch.equal(block(z), z)
    assert Residual(4, 8, 2).eval()(z).shape == (2, 8, 3, 3)
