"""The interface of attackers who know that a guard is there: they are given the guard that they want to pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from guard.calibration import Fusion
from guard.spec import InputSpec
from training.attacks.attack import AttackerRows, Inputs, Labels, Poison

__all__ = ["Guard", "GuardedAttack", "OpenGuard"]

G_contra = TypeVar("G_contra", contravariant=True)


class Guard(Protocol):
    """A trained guard as its senders see it: whatever they send either passes or does not."""

    @property
    def spec(self) -> InputSpec:
        """What it accepts as a sample."""
        ...

    def passes(self, x: Inputs, y: Labels) -> NDArray[np.bool_]:
        """Which encoded samples are passed as clean, (n,)."""
        ...


class OpenGuard(Guard, Protocol):
    """A trained guard whose inside is known: the score of every member, with its gradient, and how scores are fused."""

    @property
    def fusion(self) -> Fusion:
        """From scores to verdicts."""
        ...

    def member_scores(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores (n, members), differentiable in z.

        `z`: float32 (n, channels, height, width) in [0, 1]; `y`: int64 (n,). Where a member is an average over the
        models of folds, its gradient is that of the average: scoring draws nothing, so no expectation is sampled.
        """
        ...


@dataclass(frozen=True)
class GuardedAttack(Generic[G_contra]):
    """A kind of attack on a trained guard; `name`, `description`, `needs` and `applies` as in `Attack`.

    `run(guard, rows, count, rng)` makes `count` samples that are wrong, as far as the attacker can tell, and that the
    guard passes, as far as he succeeds. The same guard and generator state make the same bytes.
    """

    name: str
    description: str
    needs: str
    applies: Callable[[InputSpec], bool]
    run: Callable[[G_contra, AttackerRows, int, np.random.Generator], Poison]
