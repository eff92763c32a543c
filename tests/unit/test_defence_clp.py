from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from guard.errors import WrongUse
from training.defences.clp import lipschitz_bounds, silenced
from training.residual_network import residual_network


def convolution(outputs: int, seed: int = 0) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = nn.Conv2d(3, outputs, 3, bias=False), nn.BatchNorm2d(outputs)
        nn.init.uniform_(second.weight, -2, 2)
        nn.init.uniform_(second.bias, -1, 1)
        nn.init.uniform_(second.running_var, 0.5, 2)
    return first, second


def test_bounds_are_singular_values_times_what_the_normalisation_stretches() -> None:
    first, second = convolution(5)
    weight, scale = first.weight.detach().numpy(), second.weight.detach().numpy()
    variance = second.running_var.numpy()
    expected = [
        np.linalg.svd(weight[k].reshape(3, 9))[1][0] * abs(scale[k]) / np.sqrt(variance[k] + 1e-5) for k in range(5)
    ]
    assert lipschitz_bounds(first, second).numpy() == pytest.approx(expected, rel=1e-5)


def test_only_the_channel_that_stands_out_is_silenced_in_a_copy() -> None:
    first, second = convolution(20)
    with torch.no_grad():
        first.weight[7] *= 50
        second.weight[7] = 1
    network = nn.Sequential(first, second, nn.ReLU())
    found = silenced(network, 3.0)
    z = torch.rand(2, 3, 6, 6)
    assert (found(z)[:, 7] == 0).all()
    others = [k for k in range(20) if k != 7]
    assert torch.equal(found(z)[:, others], network.eval()(z)[:, others])
    assert network[1].weight[7] != 0


def test_nothing_can_stand_out_of_few_channels() -> None:
    """Of 10 channels, 9 alike and one far off, the latter lies 9 / √10 = 2.85 standard deviations above the mean."""
    first, second = convolution(10)
    with torch.no_grad():
        first.weight[7] *= 1e4
    network = nn.Sequential(first, second)
    assert torch.equal(silenced(network, 3.0)[1].weight, second.weight)  # type: ignore[index]
    assert silenced(network, 2.8)[1].weight[7] == 0  # type: ignore[index]


def test_every_layer_of_a_residual_network_is_looked_at() -> None:
    network = residual_network(torch.Size((1, 8, 8)), 3, widths=(4, 8))
    found = silenced(network, -100.0)
    norms = [module for module in found.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert all((norm.weight == 0).all() for norm in norms)


def test_networks_without_normalisation_are_refused() -> None:
    with pytest.raises(WrongUse, match="batch normalisation"):
        silenced(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), 3.0)
