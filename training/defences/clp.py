"""CLP: channels whose Lipschitz bound stands out of their layer are silenced (Zheng et al. 2022)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from guard.errors import WrongUse
from training.defences.backdoor_defence import BackdoorDefence, Doubtful

__all__ = ["CLP", "DEVIATIONS", "lipschitz_bounds", "silenced"]

DEVIATIONS = 3.0
"""u: channels above mean + u standard deviations of their layer are silenced."""


@torch.no_grad()
def lipschitz_bounds(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """σ_k = ‖W_k‖₂ |γ_k| / √(var_k + ε) of each output channel k, W_k its weights as (C_in, k²): float32 (C_out,)."""
    spectral = torch.linalg.matrix_norm(convolution.weight.flatten(2), ord=2)
    deviation = torch.sqrt(torch.as_tensor(norm.running_var) + norm.eps)
    bounds: Tensor = spectral * norm.weight.abs() / deviation
    return bounds


@torch.no_grad()
def silenced(network: nn.Module, deviations: float) -> nn.Module:
    """A copy of `network` with γ_k = β_k = 0 where σ_k > mean + `deviations` · std over its layer; needs no data.

    A layer is a convolution and the batch normalisation that is the next module of `network` after it.
    Raises WrongUse where there is no such layer.
    """
    found = copy.deepcopy(network).eval()
    layers = list(_layers(found))
    if not layers:
        raise WrongUse("channel Lipschitzness needs convolutions that batch normalisation follows, and there are none")
    for convolution, norm in layers:
        bounds = lipschitz_bounds(convolution, norm)
        loud = bounds > bounds.mean() + deviations * bounds.std()
        norm.weight[loud] = 0
        norm.bias[loud] = 0
    return found


def _layers(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    for first, second in pairwise(network.modules()):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            yield first, second


def _run(doubtful: Doubtful) -> nn.Module:
    return silenced(doubtful.network, DEVIATIONS)


CLP = BackdoorDefence(
    name="clp",
    description="silences channels that can amplify a small change far more than others of their layer",
    needs="nothing but a trained network with batch normalisation",
    run=_run,
)
"""CLP, u = 3.

Differs from MeCa's, which repairs the network afterwards on rows that it does not name: here the method stays free of
data, as published. In a layer of n channels none can lie (n - 1) / √n deviations above the mean, so that below 11
channels u = 3 silences nothing. Recalled, not read again.
"""
