"""Projected gradient descent: many small gradient-sign steps within an ε-ball; the label is kept."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.domain import is_image_classes, require
from training.attacks.epsilon_ball import project, radius
from training.attacks.gradient_sign import input_gradient
from training.attacks.victims import fit_network, own_network, pixels
from training.preprocess import grey_images

__all__ = ["EPSILON", "PROJECTED_GRADIENT", "STEPS", "climb", "perturb_by_projected_gradient"]

EPSILON = 0.15
"""Largest change of a pixel, in units of the whole range from 0 to 255."""

STEPS = 20
"""Each of 2.5 ε / 20, so that any point of the ball can be reached from any other."""


def perturb_by_projected_gradient(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """`count` images drawn without replacement, each moved to a high loss of a network trained on the attacker's rows.

    x_0 = clip(x + U(-ε, ε)), x_{k+1} = Π(x_k + 2.5 ε / 20 · sign(∇ CE(f(x_k), y))) for k = 0 … 19, where Π clips to
    |x_k - x| ≤ ε = 0.15, in whole grey levels, and to legal pixels. Labels stay right.
    Raises `WrongUse` for tables and regression, and when `count` is not in 1 … len(rows.y).

    Differs from the paper (Madry et al. 2018; recalled, not read again): there it evades a finished model, from
    several random starts; here there is one start, and the images are sent as training samples.
    """
    require(is_image_classes(rows.spec), "classes of images")
    base = pick(rng.permutation(len(rows.y)), count)
    network = own_network(rows, rng)
    z = pixels(rows.x[base])
    start = z + torch.from_numpy(rng.uniform(-1, 1, tuple(z.shape))).float() * radius(EPSILON)
    moved = climb(network, project(start, z, EPSILON), z, torch.from_numpy(rows.y[base]))
    return Poison(grey_images(moved), rows.y[base], base, rows.y[base])


def climb(network: nn.Module, start: Tensor, centre: Tensor, y: Tensor) -> Tensor:
    """From `start`, 20 steps up the cross-entropy of `network` against y, (n,), within ε of `centre`.

    `start`, `centre`: (n, channels, height, width) in [0, 1].
    """
    z, step = start, 2.5 * radius(EPSILON) / STEPS
    for _ in range(STEPS):
        z = project(z + step * input_gradient(network, z, y).sign(), centre, EPSILON)
    return z


PROJECTED_GRADIENT = Attack(
    name="projected-gradient",
    description="moves every pixel by at most 15 % of its range, step by step against a network; the label stays right",
    needs="a network trained on the attacker's own rows",
    applies=is_image_classes,
    victim=fit_network,
    run=perturb_by_projected_gradient,
)
"""PGD, ε = 0.15."""
