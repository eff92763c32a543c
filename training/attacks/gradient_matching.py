"""Gradient matching: poison that trains a network as the mislabelled target would (Geiping et al. 2021)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.attacks.attack import Attack, AttackerRows, Poison
from training.attacks.epsilon_ball import project, radius
from training.attacks.targeting import EPSILON, choose_aims, network_without, targeted_attack, targeted_poison
from training.attacks.victims import pixels

__all__ = ["GRADIENT_MATCHING", "brew", "gradient_matching", "mismatch", "parameter_gradient", "poison_by_matching"]

_SHARE = 0.01
_STEPS = 100
_RATE = 0.025
_DROPS = (3 / 8, 5 / 8, 7 / 8)


def poison_by_matching(rows: AttackerRows, count: int, rng: np.random.Generator, *, epsilon: float) -> Poison:
    """`count` images; as many for each target t as are 1 % of the attacker's rows. Labels stay right.

    The images x of a target minimise, within |x - b| ≤ `epsilon` of right-labelled base images b,

        L = 1 - ⟨g_t, g(x)⟩ / (‖g_t‖ ‖g(x)‖),   g(x) = ∇_θ mean CE(f(x), y),   g_t = ∇_θ CE(f(t), y)

    where y is the class that t shall be read as, f is a network trained on the attacker's rows less the targets, and
    all its parameters θ count as one vector. Built for a victim that is trained from scratch; the small ones here come
    to doubt the targets, and seldom read them as wanted.
    Raises `WrongUse` for tables and regression, and when the attacker holds too few rows.

    Differs from the paper: one start at random, not the best of eight; no augmentation, which the victims here do
    without; one small network, not an ensemble; 100 steps, not 250; several targets are served in one training set; the
    images nearest to the target, not any of their class. The step length, 0.1 where pixels have a standard deviation
    near 0.25, and its schedule are those of the authors' code; the rest is recalled, not read again.
    """
    aims = choose_aims(rows, count, max(1, round(_SHARE * len(rows.y))), rng)
    network = network_without(rows, aims.targets, int(rng.integers(2**31)))
    base, targets = pixels(rows.x[aims.base]), pixels(rows.x[aims.targets.index])
    start = base + radius(epsilon) * torch.from_numpy(rng.uniform(-1, 1, tuple(base.shape))).float()
    groups = zip(*(torch.split(z, aims.size) for z in (start, base)), targets, aims.targets.wanted, strict=True)
    moved = [
        brew(network, around, images, target[None], int(wanted), epsilon) for around, images, target, wanted in groups
    ]
    return targeted_poison(rows, aims, torch.cat(moved))


def brew(
    network: nn.Module,
    start: Tensor,
    base: Tensor,
    target: Tensor,
    wanted: int,
    epsilon: float,
    steps: int = _STEPS,
) -> Tensor:
    """`steps` steps of Adam on the sign of ∇_x L, from `start` and within `epsilon` of `base`; all in [0, 1].

    `start`, `base`: (k, channels, height, width); `target`: (t, channels, height, width), all of which shall be read as
    `wanted`. Steps begin at 0.025 of a pixel's range and shrink to a tenth after 3/8, 5/8 and 7/8.
    """
    goal = parameter_gradient(network, target, torch.full((len(target),), wanted)).detach()
    y = torch.full((len(base),), wanted)
    x = project(start, base, epsilon).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=_RATE)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [int(share * steps) for share in _DROPS])
    for _ in range(steps):
        x.grad = torch.autograd.grad(mismatch(network, x, y, goal), x)[0].sign()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            x.copy_(project(x, base, epsilon))
    return x.detach()


def mismatch(network: nn.Module, x: Tensor, y: Tensor, goal: Tensor) -> Tensor:
    """L, in [0, 2]: 0 where training on (x, y) moves all parameters in the direction that `goal`, (p,), names."""
    gradient = parameter_gradient(network, x, y, create_graph=True)
    return 1 - nn.functional.cosine_similarity(gradient, goal, dim=0)


def parameter_gradient(network: nn.Module, x: Tensor, y: Tensor, *, create_graph: bool = False) -> Tensor:
    """∇_θ of the mean cross-entropy of `network(x)` against y, all parameters in one vector (p,)."""
    loss = nn.functional.cross_entropy(network(x), y)
    parts = torch.autograd.grad(loss, list(network.parameters()), create_graph=create_graph)
    return torch.cat([part.flatten() for part in parts])


def gradient_matching(epsilon: float) -> Attack:
    """GM that moves no pixel by more than `epsilon`, in units of the whole range from 0 to 255."""
    return targeted_attack(
        "gradient-matching",
        epsilon,
        poison_by_matching,
        "they train a network as a mislabelled one would",
        "the kind of network that the victim trains",
    )


GRADIENT_MATCHING = gradient_matching(EPSILON)
"""GM, ε = 0.2."""
