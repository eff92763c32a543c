"""Bullseye polytope: poison whose mean feature is that of the target (Aghakhani et al. 2021)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.attacks.attack import Attack, AttackerRows, Poison
from training.attacks.targeting import (
    EPSILON,
    POISONS_PER_TARGET,
    choose_aims,
    descend_in_ball,
    substitutes,
    targeted_attack,
    targeted_poison,
)
from training.attacks.victims import pixels

__all__ = ["BULLSEYE_POLYTOPE", "SUBSTITUTES", "bullseye_loss", "bullseye_polytope", "poison_by_bullseye"]

SUBSTITUTES = 2
"""Networks that the poison has to fit at once."""

_STEPS = 300


def poison_by_bullseye(rows: AttackerRows, count: int, rng: np.random.Generator, *, epsilon: float) -> Poison:
    """`count` images, ten for each of ⌈count / 10⌉ targets, with the target in the middle of their features.

    The ten images x_j of a target t minimise, within |x_j - b_j| ≤ `epsilon` of right-labelled base images b_j,

        L = mean_i ‖mean_j φ_i(x_j) - φ_i(t)‖ / ‖φ_i(t)‖,   i = 1, 2

    where φ_i are the penultimate features of networks trained on the attacker's rows less the targets; 300 steps of
    Adam. The norm is not squared. Labels stay right. Built for a victim that keeps such features and trains its last
    layer anew. Raises `WrongUse` for tables and regression, and when the attacker holds too few rows.

    Differs from the paper: small networks without dropout, hence no averaging over its draws; fewer steps; ten
    poisons a target, not five, made from the images nearest to it; the last target has fewer where `count` is no
    multiple of ten. Recalled, not read again; the norm is that of the authors' code.
    """
    aims = choose_aims(rows, count, POISONS_PER_TARGET, rng)
    places, there = aims.slots
    weights = there / there.sum(1, keepdim=True)
    networks = substitutes(rows, aims, SUBSTITUTES, rng)
    wanted = [features(pixels(rows.x[aims.targets.index])) for features in networks]

    def loss(x: Tensor) -> Tensor:
        return bullseye_loss([features(x)[places] for features in networks], weights, wanted).sum()

    return targeted_poison(rows, aims, descend_in_ball(pixels(rows.x[aims.base]), loss, _STEPS, epsilon))


def bullseye_loss(points: list[Tensor], weights: Tensor, wanted: list[Tensor]) -> Tensor:
    """L of each target (t,). One entry per network: `points` (t, k, h), `wanted` (t, h); `weights`: (t, k), sum 1."""
    distances = [
        torch.linalg.vector_norm(torch.einsum("tk,tkh->th", weights, x) - t, dim=1) / torch.linalg.vector_norm(t, dim=1)
        for x, t in zip(points, wanted, strict=True)
    ]
    return torch.stack(distances).mean(0)


def bullseye_polytope(epsilon: float) -> Attack:
    """BP that moves no pixel by more than `epsilon`, in units of the whole range from 0 to 255."""
    return targeted_attack(
        "bullseye-polytope",
        epsilon,
        poison_by_bullseye,
        "one of another class lies amid ten of their features",
        "networks with features like the victim's",
    )


BULLSEYE_POLYTOPE = bullseye_polytope(EPSILON)
"""BP, ε = 0.2."""
