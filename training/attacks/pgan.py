"""pGAN: a generator learns samples that look like their class and cost a classifier most (Muñoz-González 2019)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.attacks.attack import Attack, AttackerRows, Poison, pick
from training.attacks.domain import class_count, is_image_classes, require
from training.attacks.victims import fit_network, logits_of, own_network, pixels, small_network
from training.augmenter import discriminator_loss
from training.conditional import Discriminator, Generator
from training.networks import descend
from training.preprocess import grey_images
from training.rows import Rows
from training.seeding import torch_seed

__all__ = ["ALPHA", "PGAN", "Balance", "Players", "classifier_loss", "generator_loss", "play", "poison_by_pgan"]

ALPHA = 0.5
"""α, the published setting: 1 only hides, 0 only hurts."""

_ROUNDS = 700
_BATCH = 64
_WIDTH = 64
_RATE = 1e-3


@dataclass(frozen=True)
class Balance:
    """`alpha`: α in [0, 1], what hiding weighs against harm. `share`: λ in (0, 1), the poison among all rows."""

    alpha: float
    share: float


@dataclass(frozen=True)
class Players:
    """G(noise | y) → z, D(z | y) → logit (n,) of "real", and C(z) → logits (n, classes)."""

    generator: Generator
    discriminator: nn.Module
    classifier: nn.Module


def poison_by_pgan(rows: AttackerRows, count: int, rng: np.random.Generator, alpha: float = ALPHA) -> Poison:
    r"""`count` invented images of one class Y_p, drawn from those that the attacker holds.

    Availability attack on a classifier C of known kind. A generator G plays against C and a discriminator D:

        min_G max_{D, C} α V(D, G) + (1 - α) W(C, G)
        V = E_{x | Y_p} log D(x | Y_p) + E_z log(1 - D(G(z | Y_p) | Y_p))
        W = -[λ E_z CE(C(G(z | Y_p)), Y_p) + (1 - λ) E_{x, y} CE(C(x), y)],   λ = count / (count + n)

    In turn D ascends V, C descends -W, and G descends -α log D(G(z)) - (1 - α) λ log(1 - p(Y_p | G(z))), p the softmax
    of C. For the first half of the rounds α is 1.

    `y_true` is what a network of the clean rows reads, `base_index` is -1. Raises `WrongUse` for tables and regression,
    and when `count` is not in 1 … len(rows.y).

    Differs from the paper (recalled, not read again): G descends -log D and -log(1 - p), not log(1 - D) and log p;
    those have no slope where the other player is sure, and log p has no bound. Without the first half G soon makes one
    image only. Networks and budgets are ours, the generator and the discriminator those of `training.conditional`. The
    paper's tasks have two classes. On two digits a convolutional network learns these images apart and loses nothing.
    """
    require(is_image_classes(rows.spec), "classes of images")
    pick(np.arange(len(rows.y)), count)
    honest = own_network(rows, rng)
    known = Rows(pixels(rows.x), torch.from_numpy(rows.y), class_count(rows.spec))
    y = np.full(count, rng.choice(np.unique(rows.y)))
    with torch_seed(int(rng.integers(2**31)), known.z.device):
        classifier = small_network(known.z.shape[1:], known.classes)
        players = Players(Generator(known, _WIDTH), Discriminator(known, 2 * _WIDTH), classifier)
        play(players, known, int(y[0]), Balance(alpha, count / (count + len(rows.y))), _ROUNDS)
        with torch.no_grad():
            x = grey_images(players.generator.sample(torch.from_numpy(y)))
    return Poison(x, y, np.full(count, -1), logits_of(honest, x).argmax(axis=1))


def play(players: Players, known: Rows, label: int, balance: Balance, rounds: int) -> None:
    """Train the players in place; poison is made for the class `label` of the rows `known`.

    Adam 1e-3 (β1 = .5) for each, batches of 64. In the first half of `rounds`, rounded down, α is 1. All is drawn from
    the current random state.
    """
    own = known.select(torch.nonzero(known.y == label)[:, 0])
    generator, discriminator, classifier = (
        torch.optim.Adam(network.parameters(), lr=_RATE, betas=(0.5, 0.999), fused=True)
        for network in (players.generator, players.discriminator, players.classifier)
    )
    for turn in range(rounds):
        aim = balance if turn >= rounds // 2 else replace(balance, alpha=1.0)
        real, clean = own.draw(_BATCH), known.draw(_BATCH)
        made = Rows(players.generator.sample(real.y), real.y, known.classes)
        still = Rows(made.z.detach(), made.y, known.classes)
        descend(discriminator, discriminator_loss(players.discriminator, real.z, still.z, real.y))
        descend(classifier, classifier_loss(players.classifier, still, clean, balance.share))
        descend(generator, generator_loss(players.discriminator, players.classifier, made, aim))


def classifier_loss(classifier: nn.Module, made: Rows, clean: Rows, share: float) -> Tensor:
    """-W: λ · CE of the samples made + (1 - λ) · CE of the clean ones, each a mean over its rows."""
    costs = [functional.cross_entropy(classifier(rows.z), rows.y) for rows in (made, clean)]
    return share * costs[0] + (1 - share) * costs[1]


def generator_loss(discriminator: nn.Module, classifier: nn.Module, made: Rows, balance: Balance) -> Tensor:
    """-α · mean log D(x | y) - (1 - α) · λ · mean log(1 - p(y | x)) over the samples made, p the softmax of C."""
    hidden: Tensor = functional.softplus(-discriminator(made.z, made.y)).mean()
    logits: Tensor = classifier(made.z)
    own = functional.one_hot(made.y, made.classes).bool()
    misread = logits.masked_fill(own, -torch.inf).logsumexp(1) - logits.logsumexp(1)
    return balance.alpha * hidden - (1 - balance.alpha) * balance.share * misread.mean()


PGAN = Attack(
    name="pgan",
    description="invents images of one class that look like it and are hard for a classifier, by a generative network",
    needs="rows like those that the victim trains on, and the kind of its network",
    applies=is_image_classes,
    victim=fit_network,
    run=poison_by_pgan,
)
"""pGAN, α = 0.5."""
