"""How far a small adversarial change moves a network's reading of each image: poison with a trigger is moved least."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

__all__ = ["EPSILON", "PATCH", "adversarial_step", "divergence", "patch_mask", "sensitivity"]

EPSILON = 32 / 255
"""Largest change of a pixel, in units of the whole range."""

PATCH = 2
"""Pixels along the side of a patch; printed."""

_SHARE = 0.5
_BATCH = 512


def sensitivity(network: nn.Module, z: Tensor, generator: torch.Generator) -> Tensor:
    """s(x) = KL(f(x) ‖ f(x + m ⊙ δ)) in nats, for images z (n, c, h, w) in [0, 1]: (n,) ≥ 0.

    m: a random mask of patches; δ: one adversarial step, |δ| ≤ ε = 32/255. `network` is put into evaluation mode.

    Differs from the paper, whose formulas, ε and form of the mask are missing from the text that was read: half of all
    patches of 2 × 2 pixels are changed, drawn at random for each image. At δ = 0 the gradient of KL is exactly 0, so
    the step starts from uniform noise within ±ε.
    """
    network.eval()
    parts = [_sensitivity(network, part, generator) for part in torch.split(z, _BATCH)]
    return torch.cat(parts)


def _sensitivity(network: nn.Module, z: Tensor, generator: torch.Generator) -> Tensor:
    with torch.no_grad():
        before = F.log_softmax(network(z), 1)
    start = EPSILON * (2 * torch.rand(z.shape, generator=generator, device=z.device, dtype=z.dtype) - 1)
    moved = adversarial_step(network, z, before, patch_mask(z, generator), start)
    with torch.no_grad():
        return divergence(before, F.log_softmax(network(moved), 1))


def adversarial_step(network: nn.Module, z: Tensor, before: Tensor, mask: Tensor, start: Tensor) -> Tensor:
    """clip(z + m ⊙ ε sign(∇_δ KL(f(z) ‖ f(z + m ⊙ δ)) at δ = `start`)), shaped like z.

    `before`: log f(z), (n, C); `mask`: 0 or 1, shaped like z.
    """
    delta = start.clone().requires_grad_()
    after = F.log_softmax(network((z + mask * delta).clamp(0, 1)), 1)
    (gradient,) = torch.autograd.grad(divergence(before, after).sum(), delta)
    return (z + mask * EPSILON * gradient.sign()).clamp(0, 1)


def divergence(before: Tensor, after: Tensor) -> Tensor:
    """KL(p ‖ q) = Σ_k p_k (log p_k - log q_k) in nats of log p, log q (n, C): (n,)."""
    return (before.exp() * (before - after)).sum(1)


def patch_mask(z: Tensor, generator: torch.Generator) -> Tensor:
    """1 on half of all 2 × 2 patches, drawn at random for each image and alike for its channels; shaped like z."""
    height, width = (-(-side // PATCH) for side in z.shape[2:])
    coarse = torch.rand((len(z), 1, height, width), generator=generator, device=z.device) < _SHARE
    fine = coarse.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
    return fine[:, :, : z.shape[2], : z.shape[3]].to(z.dtype).expand_as(z)
