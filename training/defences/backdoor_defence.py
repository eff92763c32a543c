"""The one interface of all defences against backdoors: from rows that may hold poison to a network without backdoor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from training.defences.robust_training import Schedule
from training.rows import Rows
from training.seeding import torch_seed

__all__ = ["BackdoorDefence", "BuildFeatures", "Doubtful", "features_of", "new_network"]

BuildFeatures = Callable[[torch.Size, int], nn.Sequential]
"""(shape, classes) → an untrained network (batch, channels, height, width) → (batch, classes).

Its last child alone maps features (batch, h) to logits.
"""


@dataclass(frozen=True, eq=False)
class Doubtful:
    """What a defence is given. Equal to nothing but itself.

    `rows`: images and labels, poison among them. `reserved`: a few rows known to be clean, none of them in `rows`;
    methods that need none leave them alone. `network`: made by `build`, trained on `rows` by `schedule`, and never
    changed. `schedule`: how a network is trained here. All randomness follows from `seed`.
    """

    rows: Rows
    reserved: Rows
    network: nn.Sequential
    build: BuildFeatures
    schedule: Schedule
    seed: int


@dataclass(frozen=True)
class BackdoorDefence:
    """A kind of defence: its name in reports, and in one sentence each what it does and what the defender must have.

    `run` returns a network (batch, channels, height, width) → (batch, classes) in evaluation mode; the same input makes
    the same weights.
    """

    name: str
    description: str
    needs: str
    run: Callable[[Doubtful], nn.Module]


def new_network(doubtful: Doubtful) -> nn.Sequential:
    """An untrained network whose start follows from the seed."""
    with torch_seed(doubtful.seed, doubtful.rows.z.device):
        network = doubtful.build(doubtful.rows.z.shape[1:], doubtful.rows.classes)
    return network.to(doubtful.rows.z.device)


def features_of(network: nn.Sequential) -> nn.Sequential:
    """All but the last child, which shares its weights with `network`: features (batch, h)."""
    return network[:-1]
