from __future__ import annotations

import torch
from torch import nn

from training.mobile_network import InvertedResidual, mobilenet_v2


def test_it_has_as_many_weights_as_published() -> None:
    """3,504,872 with 1,000 classes, the number that everybody prints; strides change no weight."""
    network = mobilenet_v2(torch.Size((3, 32, 32)), 1_000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_504_872


def test_any_image_gives_one_logit_a_class_and_features_before_the_last_layer() -> None:
    network = mobilenet_v2(torch.Size((1, 9, 13)), 7).eval()
    z = torch.rand(2, 1, 9, 13)
    assert network(z).shape == (2, 7)
    assert network[:-1](z).shape == (2, 1280)


def test_a_block_adds_to_its_input_where_the_shapes_agree() -> None:
    block, z = InvertedResidual(4, 4, 1, 6).eval(), torch.rand(2, 4, 5, 5)
    nn.init.zeros_(block.branch[-1].weight)
    assert torch.equal(block(z), z)
    assert InvertedResidual(4, 8, 2, 6).eval()(z).shape == (2, 8, 3, 3)
