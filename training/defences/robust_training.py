"""Training on rows that may hold poison: one loop, before each epoch of which a hook may change what the rows teach.

LGM, EPIC and MeCa differ in their loss and in their hook, and in nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from torch import Tensor, nn

from guard.errors import TrainingFailed, WrongUse
from training.networks import body, descend, seeded
from training.progress import Progress, Silent
from training.rows import Rows

__all__ = [
    "Augment",
    "Build",
    "Curriculum",
    "Hook",
    "RowLoss",
    "Schedule",
    "cross_entropy",
    "logits_in_pieces",
    "require_learnt",
    "train_plain",
    "train_robustly",
]

Build = Callable[[torch.Size, int], nn.Module]
"""An untrained network for samples of one shape: (shape, classes) → (batch, …) to (batch, classes)."""

RowLoss = Callable[[Tensor, Tensor], Tensor]
"""(outputs of the network (batch, …), labels int64 (batch,)) → the loss of each row, (batch,)."""

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""A batch of inputs to a batch of the same shape; all randomness comes from the generator."""

_BATCH = 1024
_DECAY = 5e-4
_DROP = 0.1
_STANDARD_ERRORS = 3.0
_LEAST_STEPS = 600
"""Twenty epochs of a few hundred rows are too few steps for any network to learn much."""


@dataclass
class Curriculum:
    """What each row teaches. The only thing that a hook may change.

    `z`: float32 (n, …); `y`: int64 (n,), the labels as they are taught now; `weight`: float32 (n,), by which the loss
    of a row is multiplied: 1 learns it, 0 leaves it out, a negative one unlearns it.
    """

    z: Tensor
    y: Tensor
    weight: Tensor

    @staticmethod
    def of(rows: Rows) -> Curriculum:
        """All rows at weight 1, under the labels that they have. The rows themselves are never changed."""
        return Curriculum(rows.z, rows.y.clone(), torch.ones(len(rows), device=rows.z.device))

    @property
    def taught(self) -> Tensor:
        """The rows that take part, int64, ascending."""
        return torch.nonzero(self.weight).squeeze(1)

    def drop(self, rows: Tensor) -> None:
        """`rows` (int64 or bool) teach nothing from now on."""
        self.weight[rows] = 0.0

    def reweight(self, rows: Tensor, weight: Tensor | float) -> None:
        """The loss of `rows` counts `weight` times."""
        self.weight[rows] = weight

    def relabel(self, rows: Tensor, y: Tensor) -> None:
        """`rows` are taught under the labels `y`, int64, one for each."""
        self.y[rows] = y

    def unlearn(self, rows: Tensor, coefficient: float) -> None:
        """Minimise mean ℓ(other rows that are taught) - `coefficient` · mean ℓ(`rows`), up to a factor.

        Each of `rows` weighs -coefficient · (others / rows), so that the balance does not depend on how many there are.
        """
        self.weight[rows] = 0.0
        others = float(self.weight.clamp(min=0).sum())
        self.weight[rows] = -coefficient * others / max(self.weight[rows].numel(), 1)


Hook = Callable[[int, nn.Module, Curriculum], None]
"""Called before each epoch, counted from 0, with the network in evaluation mode."""


@dataclass(frozen=True)
class Schedule:
    """AdamW at `rate`, a tenth of it from each of `drops` (epochs, ascending) on; rows in a new order each epoch."""

    epochs: int = 20
    drops: tuple[int, ...] = (12, 17)
    batch: int = 64
    rate: float = 2e-3

    def stretch(self, rows: int) -> int:
        """How many times as long it must be for so many rows to make at least `_LEAST_STEPS` steps; at least 1."""
        return math.ceil(_LEAST_STEPS / (self.epochs * math.ceil(rows / self.batch)))

    def for_rows(self, rows: int) -> Schedule:
        """The same, stretched where rows are few."""
        factor = self.stretch(rows)
        return replace(self, epochs=factor * self.epochs, drops=tuple(factor * drop for drop in self.drops))


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-log softmax(logits)_y of each row, in nats: (batch, classes), (batch,) → (batch,)."""
    return F.cross_entropy(logits, y, reduction="none")


def train_robustly(
    network: nn.Module,
    curriculum: Curriculum,
    schedule: Schedule,
    seed: int,
    *,
    loss: RowLoss = cross_entropy,
    hook: Hook | None = None,
    augment: Augment | None = None,
    progress: Progress | None = None,
    name: str = "training",
) -> list[float]:
    """Trains `network` in place, leaves it in evaluation mode, returns the mean loss of each epoch.

    A step minimises Σ w_i ℓ_i / Σ |w_i| over its batch. The loss of a row that is unlearnt counts no more than log C,
    that of a guess among C outputs: beyond it there is nothing left to unlearn, and no bound to the ascent.
    The order of rows, and what `augment` draws, follow from `seed`. Raises TrainingFailed where no row is left, or
    the loss is no number.
    """
    generator = torch.Generator(curriculum.z.device).manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=_DECAY, foreach=True)
    rate = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(schedule.drops), _DROP)
    curve = []
    for epoch in (progress or Silent()).track(range(schedule.epochs), name):
        if hook is not None:
            network.eval()
            hook(epoch, network, curriculum)
        network.train()
        curve.append(_epoch(network, curriculum, schedule.batch, optimiser, loss, augment, generator))
        rate.step()
    network.eval()
    return curve


def _epoch(
    network: nn.Module,
    curriculum: Curriculum,
    batch: int,
    optimiser: torch.optim.Optimizer,
    loss: RowLoss,
    augment: Augment | None,
    generator: torch.Generator,
) -> float:
    """One pass over the rows that are taught; the mean of its losses."""
    taught = curriculum.taught
    if not len(taught):
        raise TrainingFailed("no row is left to learn from: all are suspected, and nothing can be called clean")
    values = []
    order = taught[torch.randperm(len(taught), generator=generator, device=taught.device)]
    for rows in torch.split(order, batch):
        z = curriculum.z[rows] if augment is None else augment(curriculum.z[rows], generator)
        value = _weighted(loss, network(z), curriculum.y[rows], curriculum.weight[rows])
        descend(optimiser, value)
        values.append(value.detach())
    mean = float(torch.stack(values).mean())
    if mean != mean or abs(mean) == float("inf"):
        raise TrainingFailed("the loss is no number any more: training did not converge, and no row is called clean")
    return mean


def _weighted(loss: RowLoss, outputs: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    value = loss(outputs, y)
    bounded = torch.where(weight < 0, value.clamp(max=math.log(outputs.shape[1])), value)
    return (weight * bounded).sum() / weight.abs().sum()


def train_plain(
    rows: Rows,
    schedule: Schedule,
    seed: int,
    *,
    build: Build = body,
    loss: RowLoss = cross_entropy,
    hook: Hook | None = None,
    augment: Augment | None = None,
    progress: Progress | None = None,
    name: str = "training",
) -> tuple[nn.Module, Curriculum]:
    """A new network trained on `rows`, and what the rows taught it at the end; without a hook, all that they say.

    Its start follows from `seed`, too. Raises WrongUse for anything but two classes or more, all labels among them;
    TrainingFailed as `train_robustly` does.
    """
    _require_classes(rows)
    network = seeded(lambda: build(rows.z.shape[1:], rows.classes), seed).to(rows.z.device)
    curriculum = Curriculum.of(rows)
    train_robustly(
        network, curriculum, schedule, seed, loss=loss, hook=hook, augment=augment, progress=progress, name=name
    )
    return network, curriculum


def _require_classes(rows: Rows) -> None:
    if rows.classes < 2:
        raise WrongUse("cleansing compares classes, and here there are fewer than two: nothing can be contradicted")
    if len(rows) and not 0 <= int(rows.y.min()) <= int(rows.y.max()) < rows.classes:
        raise WrongUse(f"labels lie outside the {rows.classes} classes; correct them or leave those rows out")


@torch.no_grad()
def logits_in_pieces(network: nn.Module, z: Tensor) -> Tensor:
    """The outputs of `network`, which is put into evaluation mode, for any number of rows: (n, outputs)."""
    network.eval()
    return torch.cat([network(part) for part in torch.split(z, _BATCH)])


def require_learnt(logits: Tensor, y: Tensor, what: str) -> float:
    """The share of rows that `logits` (n, C) read as labelled, y (n,): the mean over the classes that y holds.

    Raises TrainingFailed unless it exceeds that of saying one class always by three standard errors: from a model that
    has learnt nothing follows nothing about any row. `what` begins the message.
    """
    size = torch.bincount(y, minlength=logits.shape[1]).double()
    right = torch.bincount(y, weights=(logits.argmax(1) == y).double(), minlength=logits.shape[1])
    held = size > 0
    guess = 1 / int(held.sum())
    share = float((right[held] / size[held]).mean())
    if share <= guess + _STANDARD_ERRORS * guess * float((guess * (1 - guess) / size[held]).sum().sqrt()):
        raise TrainingFailed(
            f"{what} reads {share:.1%} of the rows of a class as they are labelled, where a guess reads {guess:.1%}: "
            "training did not converge, or most labels are wrong. No row can be called clean"
        )
    return share
