"""Convex polytope: poison whose features have the target's among their convex combinations (Zhu et al. 2019)."""

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

__all__ = [
    "CONVEX_POLYTOPE",
    "SUBSTITUTES",
    "combine",
    "convex_polytope",
    "poison_by_polytope",
    "polytope_loss",
    "project_on_simplex",
]

SUBSTITUTES = 2
"""Networks that the poison has to fit at once."""

_STEPS = 200
_SOLVER_STEPS = 20
_SOLVER_TOLERANCE = 1e-6


def poison_by_polytope(rows: AttackerRows, count: int, rng: np.random.Generator, *, epsilon: float) -> Poison:
    """`count` images, ten for each of ⌈count / 10⌉ targets, with the target in the hull of their features.

    The ten images x_j of a target t minimise, within |x_j - b_j| ≤ `epsilon` of right-labelled base images b_j,

        L = Σ_i ½ ‖φ_i(t) - Σ_j c_j φ_i(x_j)‖² / ‖φ_i(t)‖²,   c = c(i) in the simplex,   i = 1, 2

    where φ_i are the penultimate features of networks trained on the attacker's rows less the targets. In turn: c is
    solved for with the images fixed, in at most 20 steps from where it stood; then one step of Adam on the images with
    c fixed; 200 times. Labels stay right. Built for a victim that keeps such features and trains its last layer anew.
    Raises `WrongUse` for tables and regression, and when the attacker holds too few rows.

    Differs from the paper: small networks without dropout, two and not four; 200 steps, not 4000; c is found by
    projected gradient with the fixed step 1/L, not 2/L halved where it fails; ten poisons a target, not five, made
    from the images nearest to it; the last target has fewer where `count` is no multiple of ten. Recalled, not read
    again; steps and solver are those of the authors' code.
    """
    aims = choose_aims(rows, count, POISONS_PER_TARGET, rng)
    places, there = aims.slots
    networks = substitutes(rows, aims, SUBSTITUTES, rng)
    wanted = [features(pixels(rows.x[aims.targets.index])) for features in networks]
    found = [there / there.sum(1, keepdim=True) for _ in networks]

    def loss(x: Tensor) -> Tensor:
        points = [features(x)[places] for features in networks]
        found[:] = [
            combine(p.detach(), t, c, there, _SOLVER_STEPS) for p, t, c in zip(points, wanted, found, strict=True)
        ]
        return polytope_loss(points, found, wanted).sum()

    return targeted_poison(rows, aims, descend_in_ball(pixels(rows.x[aims.base]), loss, _STEPS, epsilon))


def polytope_loss(points: list[Tensor], weights: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """L of each target (t,). One entry per network: `points` (t, k, h), `weights` (t, k), `wanted` (t, h)."""
    shares = [
        (t - torch.einsum("tk,tkh->th", c, x)).square().sum(1) / t.square().sum(1)
        for x, c, t in zip(points, weights, wanted, strict=True)
    ]
    return torch.stack(shares).sum(0) / 2


def combine(points: Tensor, wanted: Tensor, start: Tensor, there: Tensor, steps: int) -> Tensor:
    """The c in the simplex, (t, k), with the smallest ‖wanted - Σ_j c_j points_j‖²; 0 where a point is not `there`.

    `points`: (t, k, h); `wanted`: (t, h); `there`: bool (t, k). Projected gradient from `start` (t, k), until no c_j
    moves by more than 1e-6, or for so many steps. As c sums to 1, the residual is Σ_j c_j (wanted - points_j): the part
    that all points share drops out, and with it the slowest direction.
    """
    apart = points - wanted[:, None]
    gram = apart @ apart.mT
    step = 1 / torch.linalg.eigvalsh(gram)[:, -1:].clamp(min=torch.finfo(gram.dtype).tiny)
    c = start
    for _ in range(steps):
        moved = c - step * torch.einsum("tij,tj->ti", gram, c)
        before, c = c, project_on_simplex(moved.masked_fill(~there, -torch.inf))
        if (c - before).abs().max() <= _SOLVER_TOLERANCE:
            break
    return c


def project_on_simplex(v: Tensor) -> Tensor:
    """The c nearest to each row of v (t, k) with c_j ≥ 0 and Σ_j c_j = 1: c = max(v - τ, 0), τ found by sorting.

    An entry of -∞ becomes 0.
    """
    ranked = v.sort(dim=1, descending=True).values
    excess = (ranked.cumsum(1) - 1) / torch.arange(1, v.shape[1] + 1)
    kept = (ranked > excess).sum(1, keepdim=True)
    return (v - excess.gather(1, kept - 1)).clamp(min=0)


def convex_polytope(epsilon: float) -> Attack:
    """CP that moves no pixel by more than `epsilon`, in units of the whole range from 0 to 255."""
    return targeted_attack(
        "convex-polytope",
        epsilon,
        poison_by_polytope,
        "one of another class is a mixture of their features",
        "networks with features like the victim's",
    )


CONVEX_POLYTOPE = convex_polytope(EPSILON)
"""CP, ε = 0.2."""
