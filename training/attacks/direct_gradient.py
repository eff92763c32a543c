"""Direct gradient poison: a wrong label on an image that is moved so that one training step on it does most harm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.domain import class_count, is_image_classes, require
from training.attacks.victims import ONLINE_RATE, fit_online, own_network, pixels
from training.preprocess import grey_images

__all__ = [
    "DIRECT_GRADIENT",
    "NORMAL",
    "ROUNDS",
    "STEP",
    "draw_normal",
    "loss_after_step",
    "next_class",
    "poison_by_direct_gradient",
]

NORMAL = 10
"""Clean images by whose loss a step is judged."""

ROUNDS, STEP = 5, 0.2
"""Steps of each image, and by how much of the whole range each moves every pixel: 51 grey levels."""

_AT_ONCE = 64
"""Images that are moved together; each has a copy of the network's weights."""


def poison_by_direct_gradient(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    r"""`count` images drawn without replacement, each with the next class, moved up the loss of clean images.

    Availability attack on a network that goes on learning from what arrives, its weights θ known. One step on the
    poisoned (x, y + 1 mod C) makes θ' = θ - η ∇_θ CE(f_θ(x), y + 1), η = `ONLINE_RATE`; five times

        x ← clip(x + 0.2 · sign(∇_x Σ_{i ≤ 10} CE(f_θ'(x_i), y_i)))

    over ten of the attacker's images, drawn for each poisoned one. The gradient is that of the unrolled step. θ is a
    network trained on the attacker's own rows. `y_true` is the class before it was moved on. The images are made for
    one step: a network that takes many of them in a row, or is trained from scratch, suffers no more than from the
    same labels on untouched images.
    Raises `WrongUse` for tables and regression, and when `count` is not in 1 … len(rows.y).

    Differs from the paper (Yang et al. 2017; recalled, not read again): the published code takes the gradient by
    forward differences of 0.01, steps twice as far in biases, judges every image by the same ten, and turns class 9
    into 10.
    """
    require(is_image_classes(rows.spec), "classes of images")
    base = pick(rng.permutation(len(rows.y)), count)
    network = own_network(rows, rng)
    wrong, normal = next_class(rows, base), draw_normal(rows, count, rng)
    moved = [
        _climb(network, pixels(rows.x[base[part]]), torch.from_numpy(wrong[part]), (normal[0][part], normal[1][part]))
        for part in np.array_split(np.arange(count), -(-count // _AT_ONCE))
    ]
    return Poison(grey_images(torch.cat(moved)), wrong, base, rows.y[base])


def loss_after_step(network: nn.Module, z: Tensor, y: Tensor, normal: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of clean images, summed, after one gradient step of `network` on one poisoned image: (n,).

    Each of z (n, channels, height, width), y (n,) makes its own step from the same weights, and is judged by its own
    m images: `normal` is (n, m, channels, height, width) and (n, m). Differentiable by z.
    """
    weights = {name: weight.detach() for name, weight in network.named_parameters()}

    def taught(weights: Mapping[str, Tensor], z: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(torch.func.functional_call(network, dict(weights), (z[None],)), y[None])

    def judged(z: Tensor, y: Tensor, clean_z: Tensor, clean_y: Tensor) -> Tensor:
        slopes = torch.func.grad(taught)(weights, z, y)
        after = {name: weight - ONLINE_RATE * slopes[name] for name, weight in weights.items()}
        logits = torch.func.functional_call(network, after, (clean_z,))
        return nn.functional.cross_entropy(logits, clean_y, reduction="sum")

    return torch.func.vmap(judged)(z, y, *normal)


def next_class(rows: AttackerRows, base: NDArray[np.int64]) -> NDArray[np.int64]:
    """(y + 1) mod C of the rows `base`, (n,)."""
    return (rows.y[base].astype(np.int64) + 1) % class_count(rows.spec)


def draw_normal(rows: AttackerRows, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Ten of the attacker's rows with their right labels for each of `count`, as `loss_after_step` takes them."""
    drawn = rng.integers(len(rows.y), size=(count, NORMAL))
    z = pixels(rows.x[drawn.ravel()])
    return z.reshape(count, NORMAL, *z.shape[1:]), torch.from_numpy(rows.y[drawn])


def _climb(network: nn.Module, z: Tensor, y: Tensor, normal: tuple[Tensor, Tensor]) -> Tensor:
    for _ in range(ROUNDS):
        z = z.detach().requires_grad_()
        slope = torch.autograd.grad(loss_after_step(network, z, y, normal).sum(), z)[0]
        z = (z.detach() + STEP * slope.sign()).clamp(0, 1)
    return z


DIRECT_GRADIENT = Attack(
    name="direct-gradient",
    description="gives images the next class, and moves every pixel so that one training step does most harm",
    needs="the weights of the network, here one that is trained on the attacker's own rows",
    applies=is_image_classes,
    victim=fit_online,
    run=poison_by_direct_gradient,
)
"""GP, direct."""
