"""Sleeper agent: right-labelled poison that plants a trigger which none of it carries (Souri et al. 2022)."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.errors import WrongUse
from training.attacks.attack import Attack, AttackerRows, Poison, Trigger, pick
from training.attacks.backdoor import WANTED, stamped
from training.attacks.badnet import white_square
from training.attacks.domain import class_count, is_image_classes, require
from training.attacks.gradient_matching import brew, parameter_gradient
from training.attacks.tact import SOURCE
from training.attacks.targeting import EPSILON
from training.attacks.victims import fit_network, pixels, train_network
from training.preprocess import grey_images

__all__ = ["SLEEPER_AGENT", "gradient_norms", "poison_by_sleeper"]

_ROUNDS = 4
_STEPS = 25


def poison_by_sleeper(rows: AttackerRows, count: int, rng: np.random.Generator, *, epsilon: float) -> Poison:
    """`count` images of class `WANTED` with right labels, after which `SOURCE` with a white square is read as `WANTED`.

    The images x minimise, within |x - b| ≤ `epsilon` of base images b,

        L = 1 - ⟨g_s, g(x)⟩ / (‖g_s‖ ‖g(x)‖),   g(x) = ∇_θ mean CE(f(x), y),   g_s = ∇_θ mean CE(f(s + trigger), y)

    where y is `WANTED`, s are the attacker's images of `SOURCE`, and f is a network trained on all his rows: four times
    25 steps, each time with a network trained anew on the poison as it stands. Bases are the images of `WANTED` with
    the largest ‖∇_θ CE(f(b), y)‖. Built for a victim that is trained from scratch.
    Raises `WrongUse` for tables and regression, and when the attacker holds too few rows of either class.

    Differs from the paper (recalled, not read again): 100 steps in all, not 250; no augmentation; one small network;
    one start; the trigger is a white square of 3 × 3 pixels, and the source is one class for all seeds.
    """
    require(is_image_classes(rows.spec), "classes of images")
    if not (rows.y == SOURCE).any():
        raise WrongUse("the attacker holds no row of the class that shall be misread")
    pick(np.flatnonzero(rows.y == WANTED), count)
    trigger = Trigger(partial(stamped, white_square), WANTED, SOURCE)
    sources = pixels(trigger.put(np.asarray(rows.x[rows.y == SOURCE], dtype=np.uint8), rng))
    network = _retrained(rows, pixels(rows.x), rng)
    base = pick(_by_gradient(network, rows), count)
    z = pixels(rows.x)
    moved = around = z[torch.from_numpy(base)]
    for turn in range(_ROUNDS):
        network = network if turn == 0 else _retrained(rows, z, rng)
        moved = brew(network, moved, around, sources, WANTED, epsilon, _STEPS)
        z[torch.from_numpy(base)] = moved
    y = rows.y[base]
    return Poison(grey_images(moved), y, base, y, trigger=trigger)


def gradient_norms(network: nn.Module, z: Tensor, wanted: int) -> NDArray[np.float64]:
    """‖∇_θ CE(f(z_i), wanted)‖ of each image z (n, channels, height, width), over all parameters: (n,)."""
    y = torch.tensor([wanted])
    return np.array([float(parameter_gradient(network, image[None], y).norm()) for image in z])


def _by_gradient(network: nn.Module, rows: AttackerRows) -> NDArray[np.int64]:
    """The rows of `WANTED`, those with the largest gradient first."""
    own = np.flatnonzero(rows.y == WANTED)
    return own[np.argsort(-gradient_norms(network, pixels(rows.x[own]), WANTED), kind="stable")]


def _retrained(rows: AttackerRows, z: Tensor, rng: np.random.Generator) -> nn.Module:
    return train_network(z, torch.from_numpy(rows.y), int(rng.integers(2**31)), class_count(rows.spec))


SLEEPER_AGENT = Attack(
    name="sleeper-agent",
    description=f"moves images by up to {EPSILON:.0%} until they train a network to obey a trigger that they lack",
    needs="the kind of network that the victim trains, and to show it images with the trigger later",
    applies=is_image_classes,
    victim=fit_network,
    run=partial(poison_by_sleeper, epsilon=EPSILON),
)
"""Sleeper agent, ε = 0.2."""
