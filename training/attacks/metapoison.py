"""MetaPoison: poison that is tried on networks two steps ahead (Huang et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from training.attacks.attack import Attack, AttackerRows, Poison
from training.attacks.domain import class_count
from training.attacks.epsilon_ball import project
from training.attacks.targeting import EPSILON, POISONS_PER_TARGET, choose_aims, targeted_attack, targeted_poison
from training.attacks.victims import pixels, small_network
from training.networks import descend
from training.rows import Rows
from training.seeding import torch_seed

__all__ = ["METAPOISON", "metapoison", "poison_by_unrolling", "unrolled"]

_UNROLLED = 2
_ROUNDS = 40
_NETWORKS = 2
_LIFE = 8
_STEPS_A_ROUND = 8
_BATCH = 64
_RATE = 0.02
_INNER = 0.1


def poison_by_unrolling(rows: AttackerRows, count: int, rng: np.random.Generator, *, epsilon: float) -> Poison:
    """`count` images, ten for each of ⌈count / 10⌉ targets, after which networks in training misread the targets.

    The images x minimise, within |x - b| ≤ `epsilon` of right-labelled base images b,

        L = mean_j CE(f(t; θ_j''), y),   θ' = θ - η ∇_θ CE(f([x, batch]; θ)),   θ'' likewise from θ',   η = 0.1

    where t are the targets, y the classes that they shall be read as, and θ_j two networks in training on the
    attacker's rows less the targets, with the poison as it stands. After each step on x every network trains on; one
    that is 8 rounds old starts anew, so that there is always a younger and an older one. 40 rounds; labels stay right.
    Built for a victim that is trained from scratch.
    Raises `WrongUse` for tables and regression, and when the attacker holds too few rows.

    Differs from the paper (recalled, not read again): the loss is cross-entropy, not that of Carlini and Wagner; no
    change of colours beside the ε-ball; two small networks, not 24; ten poisons a target, and several targets in one
    training set; the images nearest to the target, not any of their class.
    """
    aims = choose_aims(rows, count, POISONS_PER_TARGET, rng)
    kept = np.setdiff1d(np.arange(len(rows.y)), np.concatenate([aims.targets.index, aims.base]))
    clean = Rows(pixels(rows.x[kept]), torch.from_numpy(rows.y[kept]), class_count(rows.spec))
    target = Rows(pixels(rows.x[aims.targets.index]), torch.from_numpy(aims.targets.wanted), clean.classes)
    base, y = pixels(rows.x[aims.base]), torch.from_numpy(rows.y[aims.base])
    with torch_seed(int(rng.integers(2**31)), base.device):
        return targeted_poison(rows, aims, _craft(base, y, clean, target, epsilon))


def _craft(base: Tensor, y: Tensor, clean: Rows, target: Rows, epsilon: float) -> Tensor:
    """All is drawn from the current random state."""
    x = base.clone().requires_grad_()
    optimiser = torch.optim.Adam([x], lr=_RATE)
    crew = [_young(clean, x.detach(), y, age) for age in range(0, _LIFE, _LIFE // _NETWORKS)]
    for turn in range(_ROUNDS):
        losses = [_misreading(network, x, y, clean, target) for network in crew]
        x.grad = torch.autograd.grad(torch.stack(losses).mean(), x)[0].sign()
        optimiser.step()
        with torch.no_grad():
            x.copy_(project(x, base, epsilon))
        for place, network in enumerate(crew):
            _train_on(network, clean, x.detach(), y, 1)
            if (turn + 1 + place * _LIFE // _NETWORKS) % _LIFE == 0:
                crew[place] = _young(clean, x.detach(), y, 0)
    return x.detach()


def _misreading(network: nn.Module, x: Tensor, y: Tensor, clean: Rows, target: Rows) -> Tensor:
    """CE of the targets against what is wanted, by the network two steps ahead."""
    batches = [clean.draw(_BATCH) for _ in range(_UNROLLED)]
    ahead = unrolled(network, ((torch.cat([x, part.z]), torch.cat([y, part.y])) for part in batches), _INNER)
    return functional.cross_entropy(functional_call(network, ahead, (target.z,)), target.y)


def unrolled(network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], rate: float) -> dict[str, Tensor]:
    """The parameters of `network` after one step of gradient descent on each of `batches` (z, y), by name.

    They are differentiable in z; the network itself stays as it is.
    """
    ahead: dict[str, Tensor] = dict(network.named_parameters())
    for z, y in batches:
        loss = functional.cross_entropy(functional_call(network, ahead, (z,)), y)
        slopes = torch.autograd.grad(loss, list(ahead.values()), create_graph=True)
        ahead = {name: value - rate * slope for (name, value), slope in zip(ahead.items(), slopes, strict=True)}
    return ahead


def _young(clean: Rows, x: Tensor, y: Tensor, age: int) -> nn.Module:
    """A new network that has trained for `age` rounds."""
    network = small_network(clean.z.shape[1:], clean.classes)
    _train_on(network, clean, x, y, age)
    return network


def _train_on(network: nn.Module, clean: Rows, x: Tensor, y: Tensor, rounds: int) -> None:
    """Adam 2e-3, eight steps a round, on batches of all rows, the poison x, y among them."""
    everything = Rows(torch.cat([clean.z, x]), torch.cat([clean.y, y]), clean.classes)
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(rounds * _STEPS_A_ROUND):
        batch = everything.draw(_BATCH)
        descend(optimiser, functional.cross_entropy(network(batch.z), batch.y))


def metapoison(epsilon: float) -> Attack:
    """MetaPoison that moves no pixel by more than `epsilon`, in units of the whole range from 0 to 255."""
    return targeted_attack(
        "metapoison",
        epsilon,
        poison_by_unrolling,
        "networks that train on them come to misread others",
        "the kind of network that the victim trains",
    )


METAPOISON = metapoison(EPSILON)
"""MetaPoison, ε = 0.2."""
