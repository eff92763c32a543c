"""Training that drops isolated rows as it goes, and the rows that it has dropped."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.attacks.domain import is_classes
from training.defences.cleansing import Cleanser, Cleansing
from training.defences.epic.isolation import gradient_proxy, isolated_rows
from training.defences.robust_training import (
    Augment,
    Build,
    Curriculum,
    Schedule,
    logits_in_pieces,
    train_plain,
)
from training.networks import body
from training.progress import Progress
from training.rows import Rows

__all__ = ["EPIC_CLEANSER", "LONG", "SHORT", "Dropping", "EpicSchedule", "cleanse_by_isolation", "train_epic"]


@dataclass(frozen=True)
class EpicSchedule:
    """When rows are dropped: after `warm_up` epochs, every `every` epochs, up to the last drop of the learning rate.

    `share`: of each class's rows that are left, how many become medoids, in (0, 1].
    """

    schedule: Schedule
    warm_up: int
    every: int
    share: float

    def for_rows(self, rows: int) -> EpicSchedule:
        """The same, all of it stretched where rows are few (see `Schedule.for_rows`)."""
        factor = self.schedule.stretch(rows)
        schedule = self.schedule.for_rows(rows)
        return replace(self, schedule=schedule, warm_up=factor * self.warm_up, every=factor * self.every)

    def drops_at(self, epoch: int) -> bool:
        """Whether isolated rows are dropped before `epoch`, counted from 0."""
        past = epoch - self.warm_up
        return past >= 0 and past % self.every == 0 and epoch < self.schedule.drops[-1]


SHORT = EpicSchedule(Schedule(40, (15, 25, 35)), warm_up=10, every=2, share=0.1)
LONG = EpicSchedule(Schedule(200, (100, 150)), warm_up=30, every=10, share=0.1)
"""The two published schedules: 40 epochs, and 200."""


@dataclass
class Dropping:
    """The hook: drops for ever what is isolated among the rows that are left, and remembers when.

    `dropped_at`: int64 (n,), the epoch before which a row went, -1 while it stays. `size`: int64 (n,), the last size
    of each row's cluster.
    """

    plan: EpicSchedule
    dropped_at: Tensor
    size: Tensor

    @staticmethod
    def of(rows: Rows, plan: EpicSchedule) -> Dropping:
        """Nothing is dropped yet."""
        gone = torch.full((len(rows),), -1, dtype=torch.int64, device=rows.z.device)
        return Dropping(plan, gone, torch.full_like(gone, len(rows)))

    def __call__(self, epoch: int, network: nn.Module, curriculum: Curriculum) -> None:
        """See `Hook`. Gradients are those of the rows as they are: in evaluation mode, not augmented."""
        if not self.plan.drops_at(epoch):
            return
        left = curriculum.taught
        y = curriculum.y[left]
        gradient = gradient_proxy(logits_in_pieces(network, curriculum.z[left]), y)
        isolated, size = isolated_rows(gradient, y, self.plan.share)
        self.size[left] = size
        self.dropped_at[left[isolated]] = epoch
        curriculum.drop(left[isolated])


def train_epic(
    rows: Rows,
    plan: EpicSchedule,
    seed: int,
    *,
    build: Build = body,
    augment: Augment | None = None,
    progress: Progress | None = None,
) -> tuple[nn.Module, Dropping]:
    """A network trained on `rows` less what became isolated in gradient space on the way, and what that was.

    1. Train to epoch `warm_up`. 2. Every `every` epochs choose medoids in each class by their gradients and drop those
    that are alone. 3. Go on with the rest; after the last drop of the learning rate nothing is dropped any more.
    Raises as `train_plain` does.

    Differs from the paper (its abstract was read; the schedules are facts of its public code): the medoids are chosen
    among the rows that are left, ⌈share · rows left⌉ of each class, where the public code clusters dropped rows, too,
    and counts by the first size; empty clusters do not occur; classes of fewer than ten rows are left alone. AdamW
    stands for SGD. The last layer's bias counts in so far as the proxy is its gradient.
    """
    dropping = Dropping.of(rows, plan)
    network, _ = train_plain(
        rows, plan.schedule, seed, build=build, hook=dropping, augment=augment, progress=progress, name="epic"
    )
    return network, dropping


def cleanse_by_isolation(
    rows: Rows,
    fold: NDArray[np.int8],  # noqa: ARG001 – the interface
    seed: int,
    progress: Progress | None = None,
) -> Cleansing:
    """Suspected is what EPIC drops on its short schedule. Raises as `train_plain` does.

    The score is 1 + (epochs after the row was dropped) / epochs for dropped rows, in (1, 2]: earlier is worse. For the
    others it is 1 / (size of the last cluster), at most 1.
    """
    plan = SHORT.for_rows(len(rows))
    network, dropping = train_epic(rows, plan, seed, progress=progress)
    dropped = dropping.dropped_at >= 0
    epochs = plan.schedule.epochs
    score = torch.where(dropped, 1 + (epochs - dropping.dropped_at) / epochs, 1 / dropping.size.double())
    suggested = logits_in_pieces(network, rows.z).argmax(1)
    return Cleansing(score.double().cpu().numpy(), dropped.cpu().numpy(), suggested.cpu().numpy(), network)


EPIC_CLEANSER = Cleanser(
    name="epic",
    description="its gradient is like that of no other row of its class while a network trains",
    finds="poison with right labels that is after chosen samples, and wrong labels",
    blind_to="poison of which there is much of one kind: its rows keep each other company",
    applies=is_classes,
    run=cleanse_by_isolation,
)
"""EPIC as a method of cleansing."""
