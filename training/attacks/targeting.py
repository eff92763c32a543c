"""Targeted clean-label poison: choose whom to hit and with what, and move images until a network falls for it.

Common to feature collision, the two polytopes and gradient matching. Each target is one of the attacker's rows; its
poison is made from rows of the class that the target shall be read as, and keeps that class as its label.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.errors import WrongUse
from training.attacks.attack import Attack, AttackerRows, Poison, Targets, pick
from training.attacks.domain import class_count, is_image_classes, require
from training.attacks.epsilon_ball import project
from training.attacks.victims import fit_network, penultimate, pixels, train_network
from training.preprocess import grey_images

__all__ = [
    "EPSILON",
    "POISONS_PER_TARGET",
    "SMALLER",
    "Aims",
    "RunWithin",
    "choose_aims",
    "descend_in_ball",
    "network_without",
    "substitutes",
    "targeted_attack",
    "targeted_poison",
]

EPSILON = 0.2
"""Largest change of a pixel, in units of the whole range from 0 to 255, that drawn digits hide."""

SMALLER = (0.1, 16 / 255)
"""The same for photographs: what the polytope papers and the benchmarks allow."""

POISONS_PER_TARGET = 10
"""Twice what the polytope papers give to one target: they fill a class of 50 rows, and the networks here see more."""

_RATE = 0.04


class RunWithin(Protocol):
    """What makes targeted poison within a ball."""

    def __call__(self, rows: AttackerRows, count: int, rng: np.random.Generator, *, epsilon: float) -> Poison:
        """`count` images, none of which is further than `epsilon` from its base in any pixel."""


@dataclass(frozen=True)
class Aims:
    """Who is attacked with what. `base`: int64 (n,), the attacker's rows that poison is made from.

    The first `size` of them serve the first target, the next `size` the second; the last target has what is left.
    """

    targets: Targets
    base: NDArray[np.int64]
    size: int

    @property
    def slots(self) -> tuple[Tensor, Tensor]:
        """For each target the places of its base rows, int64 (t, size), and which of them are there, bool (t, size)."""
        places = torch.arange(len(self.targets.index) * self.size).view(-1, self.size)
        return places.clamp(max=len(self.base) - 1), places < len(self.base)


def choose_aims(rows: AttackerRows, count: int, size: int, rng: np.random.Generator) -> Aims:
    """⌈count / size⌉ targets drawn at random and `count` base rows, no row twice.

    A target shall be read as the class of the free row of another class that looks most like it; its base rows are the
    free ones of that class that look most like it: nearest in pixels (Euclid), of classes that have enough free rows.
    Raises `WrongUse` for anything but classes of images, and when the rows do not suffice.
    """
    require(is_image_classes(rows.spec), "classes of images")
    order = rng.permutation(len(rows.y))
    pick(order, count)
    index = order[: -(-count // size)]
    free, base = np.ones(len(rows.y), dtype=np.bool_), []
    free[index] = False
    for place, distance in enumerate(_distances(rows, index)):
        able = free & (rows.y != rows.y[index[place]])
        base.append(_bases(distance, rows.y, np.flatnonzero(able), min(size, count - place * size)))
        free[base[-1]] = False
    wanted = rows.y[[group[0] for group in base]].astype(np.int64)
    return Aims(Targets(index, wanted, np.arange(count) // size), np.concatenate(base), size)


def _distances(rows: AttackerRows, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Euclidean distances of images, from the rows `index` to all, (t, n)."""
    flat = pixels(rows.x).flatten(1)
    return np.asarray(torch.cdist(flat[torch.from_numpy(index)], flat).numpy())


def _bases(
    distance: NDArray[np.float32], y: NDArray[np.generic], able: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Of the rows `able`, the `size` rows of one class that are nearest; nearest first."""
    classes, sizes = np.unique(y[able], return_counts=True)
    able = able[np.isin(y[able], classes[sizes >= size])]
    if not len(able):
        raise WrongUse(f"the attacker holds too few rows: each target takes {size} of one class that is not its own")
    near = able[np.argsort(distance[able], kind="stable")]
    return np.asarray(near[y[near] == y[near[0]]][:size])


def network_without(rows: AttackerRows, targets: Targets, seed: int) -> nn.Sequential:
    """A network trained on all rows but the targets, which nobody who trains has seen."""
    known = np.setdiff1d(np.arange(len(rows.y)), targets.index)
    return train_network(pixels(rows.x[known]), torch.from_numpy(rows.y[known]), seed, class_count(rows.spec))


def substitutes(rows: AttackerRows, aims: Aims, number: int, rng: np.random.Generator) -> list[nn.Sequential]:
    """Penultimate features φ of networks that stand in for the victim's."""
    return [penultimate(network_without(rows, aims.targets, int(rng.integers(2**31)))) for _ in range(number)]


def descend_in_ball(base: Tensor, loss: Callable[[Tensor], Tensor], steps: int, epsilon: float) -> Tensor:
    """`steps` steps of Adam (0.04) down `loss` from `base` (n, channels, height, width), within ε of it after each.

    `loss` takes all images at once and is a sum over targets, so that no target's poison feels another's.
    """
    x = base.clone().requires_grad_()
    optimiser = torch.optim.Adam([x], lr=_RATE)
    for _ in range(steps):
        x.grad = torch.autograd.grad(loss(x), x)[0]
        optimiser.step()
        with torch.no_grad():
            x.copy_(project(x, base, epsilon))
    return x.detach()


def targeted_poison(rows: AttackerRows, aims: Aims, moved: Tensor) -> Poison:
    """The images `moved`, one for each base row, with the labels of their base rows."""
    y = rows.y[aims.base]
    return Poison(grey_images(moved), y, aims.base, y, aims.targets)


def targeted_attack(name: str, epsilon: float, run: RunWithin, description: str, needs: str) -> Attack:
    """An attack on images that moves no pixel by more than `epsilon`, in units of the whole range from 0 to 255.

    Where ε is not 0.2, the name says by how many grey levels a pixel may move: `feature-collision-16`.
    """
    return Attack(
        name=name if epsilon == EPSILON else f"{name}-{int(255 * epsilon)}",
        description=f"moves images by up to {epsilon:.0%} until {description}",
        needs=f"{needs}, and the images that shall be misread",
        applies=is_image_classes,
        victim=fit_network,
        run=partial(run, epsilon=epsilon),
    )
