"""Feature collision: poison that looks like its base and has the features of the target (Shafahi et al. 2018)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.attacks.attack import Attack, AttackerRows, Poison
from training.attacks.epsilon_ball import project
from training.attacks.targeting import (
    EPSILON,
    POISONS_PER_TARGET,
    choose_aims,
    substitutes,
    targeted_attack,
    targeted_poison,
)
from training.attacks.victims import pixels

__all__ = ["BETA", "FEATURE_COLLISION", "collide", "feature_collision", "poison_by_collision"]

BETA = 0.1
"""Weight of the distance to the base; the published value for features that are not normalised."""

_STEPS = 120
_RATE = 0.1
_SHRINK = 0.2


def poison_by_collision(rows: AttackerRows, count: int, rng: np.random.Generator, *, epsilon: float) -> Poison:
    """`count` images with the features of their targets, ten for each of ⌈count / 10⌉ targets.

    Of each base image b and its target t, p minimises ‖φ(p) - φ(t)‖² + β/2 ‖p - b‖² within |p - b| ≤ `epsilon`, where
    φ are the penultimate features of a network trained on the attacker's rows less the targets. Labels stay right.
    Built for a victim that keeps these features and trains its last layer anew.
    Raises `WrongUse` for tables and regression, and when the attacker holds too few rows.

    Differs from the paper: p stays within an ε-ball, and there is no watermark; ten poisons a target, not one, made
    from the images nearest to it; always 120 steps; the step length starts at 0.1. The published step leads to the
    minimum of the objective above, with β/2; the paper writes β. Recalled, not read again; the number of steps and β
    are those of the public benchmark.
    """
    aims = choose_aims(rows, count, POISONS_PER_TARGET, rng)
    (features,) = substitutes(rows, aims, 1, rng)
    wanted = features(pixels(rows.x[aims.targets.index]))[torch.from_numpy(aims.targets.serves)]
    return targeted_poison(rows, aims, collide(features, pixels(rows.x[aims.base]), wanted, epsilon))


def collide(features: nn.Module, base: Tensor, wanted: Tensor, epsilon: float) -> Tensor:
    """Forward-backward splitting: p̂ = p - λ ∇‖φ(p) - φ(t)‖², then p = Π((p̂ + λ β b) / (1 + λ β)).

    `base`: (n, …) in [0, 1]; `wanted`: φ(t), (n, h). A step that raises a row's objective is undone, and its λ shrinks
    to a fifth.
    """
    p, rate = base, torch.full((len(base), *[1] * (base.ndim - 1)), _RATE, dtype=base.dtype)
    value, gradient = _objective(features, p, base, wanted)
    for _ in range(_STEPS):
        pulled = (p - rate * gradient + rate * BETA * base) / (1 + rate * BETA)
        tried = project(pulled, base, epsilon)
        new_value, new_gradient = _objective(features, tried, base, wanted)
        better = (new_value <= value).view_as(rate)
        p, gradient = torch.where(better, tried, p), torch.where(better, new_gradient, gradient)
        value, rate = torch.minimum(value, new_value), torch.where(better, rate, _SHRINK * rate)
    return p


def _objective(features: nn.Module, p: Tensor, base: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The objective of each row (n,), and the gradient of its first term, shaped like p."""
    p = p.clone().requires_grad_()
    collision = (features(p) - wanted).square().sum(1)
    gradient = torch.autograd.grad(collision.sum(), p)[0]
    return (collision + BETA / 2 * (p - base).square().flatten(1).sum(1)).detach(), gradient


def feature_collision(epsilon: float) -> Attack:
    """FC that moves no pixel by more than `epsilon`, in units of the whole range from 0 to 255."""
    return targeted_attack(
        "feature-collision",
        epsilon,
        poison_by_collision,
        "their features are those of an image of another class",
        "a network with the victim's features",
    )


FEATURE_COLLISION = feature_collision(EPSILON)
"""FC, ε = 0.2."""
