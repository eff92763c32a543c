"""Backdoor enhancement: networks unlearn what is surely clean and learn the rest, until they fit poison alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from training.defences.meca.consistency import sensitivity
from training.defences.robust_training import Curriculum, Schedule, logits_in_pieces, train_robustly
from training.progress import Progress, Silent
from training.rows import Rows

__all__ = ["BY_CLAIM", "BY_SENSITIVITY", "Half", "Unlearning", "claimed_probability", "enhance", "partition"]

BY_SENSITIVITY = (0.1, 0.2)
"""α_t, the share of rows taken for clean in the first rounds: those that an adversarial change moves most; ours."""

BY_CLAIM = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.9, 0.9, 0.95)
"""α_t in the rounds after them: those whose label the other network believes least; ours."""

_ROUND = Schedule(2, (), rate=1e-3)
_LEAST_STEPS = 40


@dataclass(frozen=True)
class Half:
    """One half of all rows, and the network that learns from it alone. `at`: int64 (m,), where its rows stand."""

    rows: Rows
    at: Tensor
    network: nn.Module


def partition(score: Tensor, share: float) -> Tensor:
    """The ⌈share · n⌉ rows with the largest `score` (n,): D_c, assumed clean. int64, by score."""
    return torch.topk(score, math.ceil(share * len(score))).indices


@dataclass
class Unlearning:
    """The hook: before each epoch the rows `clean` get a wrong label, drawn anew, and weigh as much as all others."""

    clean: Tensor
    y: Tensor
    classes: int
    generator: torch.Generator

    def __call__(self, epoch: int, network: nn.Module, curriculum: Curriculum) -> None:  # noqa: ARG002 – a hook
        """See `Hook`."""
        shift = torch.randint(1, self.classes, self.clean.shape, generator=self.generator, device=self.generator.device)
        curriculum.relabel(self.clean, (self.y[self.clean] + shift) % self.classes)
        curriculum.reweight(self.clean, (len(self.y) - len(self.clean)) / len(self.clean))


def enhance(halves: tuple[Half, Half], seed: int, progress: Progress | None = None) -> Tensor:
    """The probability that a network which fits poison alone gives to the label of rows it has not seen: (n,).

    Both networks, each trained on its own half, are changed in place. In each round D_c becomes the share α_t of a half
    that is clean most surely; its rows are unlearnt, the others learnt. At first clean is what `sensitivity` says, then
    what the other network, which has not seen these rows, gives the least probability: a network of thousands of
    weights fits every row that it was taught, and only what carries over to other rows is a backdoor.

    Differs from the paper (Algorithms 1 and 2; Eq. 11 and the shares are missing from the text that was read): it has
    one network, one statistic for all rounds, and minimises CE(D_u) - β CE(D_c), β = .05. Ascent stands still where the
    network is sure (the gradient of CE is 1 - p), and one network believes what it has learnt by heart; on small data
    both kept poison and clean rows together.
    """
    n = sum(len(half.at) for half in halves)
    rounds = [*((share, True) for share in BY_SENSITIVITY), *((share, False) for share in BY_CLAIM)]
    for number, (share, sensitive) in enumerate((progress or Silent()).track(rounds, "meca, enhancement")):
        believed = _claimed_by_the_other(halves, n)
        for which, half in enumerate(halves):
            generator = torch.Generator(half.rows.z.device).manual_seed(seed + 2 * number + which)
            score = sensitivity(half.network, half.rows.z, generator) if sensitive else -believed[half.at]
            unlearning = Unlearning(partition(score, share), half.rows.y, half.rows.classes, generator)
            train_robustly(half.network, Curriculum.of(half.rows), _round(len(half.at)), seed + number, hook=unlearning)
    return _claimed_by_the_other(halves, n)


def _round(rows: int) -> Schedule:
    """Two epochs, or more where rows are so few that these are less than 40 steps."""
    return replace(_ROUND, epochs=max(_ROUND.epochs, math.ceil(_LEAST_STEPS / math.ceil(rows / _ROUND.batch))))


def _claimed_by_the_other(halves: tuple[Half, Half], n: int) -> Tensor:
    found = torch.empty(n, device=halves[0].rows.z.device)
    for half, other in (halves, halves[::-1]):
        found[half.at] = claimed_probability(other.network, half.rows)
    return found


def claimed_probability(network: nn.Module, rows: Rows) -> Tensor:
    """The probability that `network` gives to the label that each row claims: (n,) in [0, 1]."""
    return torch.softmax(logits_in_pieces(network, rows.z), 1).gather(1, rows.y[:, None]).squeeze(1)
