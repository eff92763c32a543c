"""Small network bodies, the one training loop that every learned member uses, and their loss of a claimed label."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 – PyTorch's own name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from training.progress import Progress
from training.rows import Rows

__all__ = [
    "BatchLoss",
    "ClaimedLabelLoss",
    "MeanScore",
    "MeanSuggestion",
    "Recipe",
    "body",
    "descend",
    "recipe_for",
    "score_rows",
    "seeded",
    "train",
]

BatchLoss = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""(z, y, generator) of one batch → its scalar loss; all randomness comes from the generator."""

_CURVE_POINTS = 50
_SCORE_BATCH = 1024


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: AdamW under a one-cycle rate whose maximum is `rate`."""

    steps: int
    batch: int
    rate: float
    decay: float = 1e-2


def recipe_for(z: Tensor, steps: int, batch: int) -> Recipe:
    """Rate 2e-3 and the preset's batch for images; 3e-3 and at most 64 rows for tables, whose rows are few."""
    if z.ndim == 4:
        return Recipe(steps, batch, rate=2e-3)
    return Recipe(steps, min(batch, 64), rate=3e-3)


def seeded(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """`build()` with its random start taken from `seed`, the global generator left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def body(shape: Iterable[int], outputs: int) -> nn.Module:
    """A network from one sample's `shape`, (d,) or (channels, height, width), to `outputs` numbers."""
    sizes = tuple(shape)
    return _perceptron(sizes[0], outputs) if len(sizes) == 1 else _convolutional(sizes[0], sizes[1:], outputs)


def _perceptron(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))


def _convolutional(channels: int, size: tuple[int, ...], outputs: int) -> nn.Module:
    # Strided at once and in multiples of 16 channels: .35 million multiplications on 28 × 28.
    # Below 16 pixels the first stride would leave too little to see.
    stride = 2 if min(size) >= 16 else 1
    cells = math.prod(math.ceil(math.ceil(side / stride) / 2) for side in size)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=stride, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * cells, 64),
        nn.ReLU(),
        nn.Linear(64, outputs),
    )


def train(
    network: nn.Module,
    loss: BatchLoss,
    z: Tensor,
    y: Tensor,
    recipe: Recipe,
    seed: int,
    progress: Progress,
    what: str,
    beside: Rows | None = None,
) -> list[float]:
    """Trains `network` in place on uniformly drawn batches of (z, y), leaves it in eval mode, returns its loss curve.

    As many rows of `beside` join each batch: rows whose labels are less sure make up half of what is learned from,
    however many of them there are.
    The batches and all that `loss` draws come from one generator seeded with `seed` on the device of `z`. The curve
    holds at most 50 means of successive losses.
    """
    generator = torch.Generator(z.device).manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay, foreach=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=recipe.rate, total_steps=recipe.steps)
    losses = []
    network.train()
    for _ in progress.track(range(recipe.steps), what, recipe.steps):
        rows = torch.randint(len(z), (min(recipe.batch, len(z)),), generator=generator, device=z.device)
        value = loss(*_with(beside, z[rows], y[rows], generator), generator)
        descend(optimiser, value)
        schedule.step()
        losses.append(value.detach())
    network.eval()
    return [float(part.mean()) for part in torch.stack(losses).chunk(_CURVE_POINTS)]


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of `optimiser` down `loss`; nothing that it does not move gets a gradient."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    optimiser.zero_grad()
    torch.autograd.backward(loss, inputs=parameters)
    optimiser.step()


def _with(beside: Rows | None, z: Tensor, y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    if beside is None:
        return z, y
    rows = torch.randint(len(beside), (len(z),), generator=generator, device=z.device)
    return torch.cat([z, beside.z[rows]]), torch.cat([y, beside.y[rows]])


class ClaimedLabelLoss(nn.Module):
    """−log p(y|z) in nats of a classifier's claimed labels: (batch, …), int64 (batch,) → (batch,)."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores a batch."""
        # The exporter's decomposition of cross_entropy(reduction="none") loses the batch axis.
        return -F.log_softmax(self.classifier(z), 1).gather(1, y[:, None]).squeeze(1)


class MeanScore(nn.Module):
    """The mean of several scorers: (batch, …), (batch,) → (batch,)."""

    def __init__(self, scorers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.scorers = nn.ModuleList(scorers)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Scores a batch."""
        return torch.stack([scorer(z, y) for scorer in self.scorers]).mean(0)


class MeanSuggestion(nn.Module):
    """The mean of what several modules expect of the label: (batch, …) → (batch, classes) or (batch,)."""

    def __init__(self, experts: Iterable[nn.Module]) -> None:
        super().__init__()
        self.experts = nn.ModuleList(experts)

    def forward(self, z: Tensor) -> Tensor:
        """Class scores or a standardised value for a batch."""
        return torch.stack([expert(z) for expert in self.experts]).mean(0)


def score_rows(scorer: nn.Module, z: Tensor, y: Tensor) -> NDArray[np.float64]:
    """`scorer(z, y)` of any number of rows, in pieces that fit in memory: float64 (n,)."""
    with torch.no_grad():
        parts = [
            scorer(z[start : start + _SCORE_BATCH], y[start : start + _SCORE_BATCH])
            for start in range(0, len(z), _SCORE_BATCH)
        ]
    scores: NDArray[np.float64] = torch.cat(parts).double().cpu().numpy()
    return scores
