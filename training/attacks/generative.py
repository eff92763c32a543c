"""Generative poison: an autoencoder learns to make images on which one training step does most harm."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.direct_gradient import draw_normal, loss_after_step, next_class
from training.attacks.domain import is_image_classes, require
from training.attacks.victims import fit_online, own_network, pixels
from training.networks import descend
from training.preprocess import grey_images
from training.seeding import torch_seed

__all__ = ["GENERATIVE", "poison_by_autoencoder", "train_autoencoder", "train_generator"]

_HIDDEN = 64
_BATCH = 32
_COPY_STEPS, _COPY_RATE = 500, 2e-3
_HARM_STEPS, _HARM_RATE = 40, 5e-3


def poison_by_autoencoder(rows: AttackerRows, count: int, rng: np.random.Generator) -> Poison:
    """`count` images drawn without replacement, each with the next class, as an autoencoder redraws them.

    The goal is that of `direct_gradient`. Instead of moving each image, an autoencoder g that has learned to copy the
    attacker's images is trained on: 40 steps of Adam up Σ_{i ≤ 10} CE(f_θ'(x_i), y_i), θ' after one step on
    (g(x), y + 1), for 32 images at a time. Then a poisoned image costs one pass through g.
    Raises `WrongUse` for tables and regression, and when `count` is not in 1 … len(rows.y).

    Differs from the paper (Yang et al. 2017; recalled, not read again): g follows the gradient of the unrolled step.
    The published code takes the sign of the clean images' own gradients instead, times the sign of the last change of
    their loss, for one image at a time; sizes and budgets are ours.
    """
    require(is_image_classes(rows.spec), "classes of images")
    base = pick(rng.permutation(len(rows.y)), count)
    z = pixels(rows.x)
    network = own_network(rows, rng)
    generator = train_generator(network, train_autoencoder(z, int(rng.integers(2**31))), rows, rng)
    with torch.no_grad():
        made = grey_images(generator(z[base]))
    return Poison(made, next_class(rows, base), base, rows.y[base])


def train_autoencoder(z: Tensor, seed: int) -> nn.Module:
    """One hidden layer of 64, trained to copy z, float32 (n, channels, height, width) in [0, 1]."""
    with torch_seed(seed, z.device):
        size = z[0].numel()
        layers = (nn.Flatten(), nn.Linear(size, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, size), nn.Sigmoid())
        autoencoder = nn.Sequential(*layers, nn.Unflatten(1, z.shape[1:]))
        optimiser = torch.optim.Adam(autoencoder.parameters(), lr=_COPY_RATE)
        for _ in range(_COPY_STEPS):
            part = z[torch.randint(len(z), (_BATCH,))]
            descend(optimiser, nn.functional.mse_loss(autoencoder(part), part))
    return autoencoder


def train_generator(
    network: nn.Module, autoencoder: nn.Module, rows: AttackerRows, rng: np.random.Generator
) -> nn.Module:
    """Train `autoencoder` further, in place, to make `loss_after_step` of `network` large; returns it."""
    optimiser = torch.optim.Adam(autoencoder.parameters(), lr=_HARM_RATE)
    for _ in range(_HARM_STEPS):
        part = rng.integers(len(rows.y), size=_BATCH)
        wrong = torch.from_numpy(next_class(rows, part))
        made = autoencoder(pixels(rows.x[part]))
        descend(optimiser, -loss_after_step(network, made, wrong, draw_normal(rows, _BATCH, rng)).mean())
    return autoencoder


GENERATIVE = Attack(
    name="generative",
    description="gives images the next class, redrawn by an autoencoder so that one training step does most harm",
    needs="the weights of the network, here one that is trained on the attacker's own rows",
    applies=is_image_classes,
    victim=fit_online,
    run=poison_by_autoencoder,
)
"""GP, generative."""
