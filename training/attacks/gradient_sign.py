"""Gradient-sign perturbation: move every pixel a little in the direction that a network likes least; keep the label."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.domain import is_image_classes, require
from training.attacks.epsilon_ball import project, radius
from training.attacks.victims import fit_network, own_network, pixels
from training.preprocess import grey_images

__all__ = ["EPSILON", "GRADIENT_SIGN", "input_gradient", "perturb_by_gradient_sign"]

EPSILON = 0.2
"""Largest change of a pixel, in units of the whole range from 0 to 255."""


def perturb_by_gradient_sign(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """`count` images drawn without replacement, each moved against a network that was trained on the attacker's rows.

    x' = clip(x + ε · sign(∇_x CE(f(x), y))), |x' - x| ≤ ε = 0.2; labels stay right. The step is taken in whole grey
    levels, ⌊255 ε⌋, so that the bound survives storage in uint8.
    Raises `WrongUse` for tables and regression, and when `count` is not in 1 … len(rows.y).

    Differs from the paper (Goodfellow, Shlens, Szegedy 2015): there it evades a finished model; here the perturbed
    images are sent as training samples.
    """
    require(is_image_classes(rows.spec), "classes of images")
    base = pick(rng.permutation(len(rows.y)), count)
    network = own_network(rows, rng)
    z = pixels(rows.x[base])
    step = radius(EPSILON) * input_gradient(network, z, torch.from_numpy(rows.y[base])).sign()
    return Poison(grey_images(project(z + step, z, EPSILON)), rows.y[base], base, rows.y[base])


def input_gradient(network: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    """∇_z of the summed cross-entropy of `network(z)` against y: one gradient per sample, shaped like z."""
    z = z.clone().requires_grad_()
    loss = nn.functional.cross_entropy(network(z), y, reduction="sum")
    return torch.autograd.grad(loss, z)[0]


GRADIENT_SIGN = Attack(
    name="gradient-sign",
    description="moves every pixel by a fifth of its range against a network's gradient; the label stays right",
    needs="a network trained on the attacker's own rows",
    applies=is_image_classes,
    victim=fit_network,
    run=perturb_by_gradient_sign,
)
"""FGSM, ε = 0.2."""
