"""FinePruning: channels that clean rows leave idle are cut off, then the rest is fine-tuned (Liu et al. 2018)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from guard.errors import WrongUse
from training.defences.backdoor_defence import BackdoorDefence, Doubtful
from training.defences.fine_tuning import REPAIR, fine_tuned
from training.rows import Rows

__all__ = ["FINE_PRUNING", "SHARE", "Mask", "channel_activity", "pruned"]

SHARE = 0.5
"""Channels that are cut off."""


class Mask(nn.Module):
    """Channels that are cut off give 0: (batch, channels, h, w) → the same, `kept` float32 (channels,) of 0 and 1."""

    kept: Tensor

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, z: Tensor) -> Tensor:
        """Masks a batch."""
        return z * self.kept[:, None, None]


@torch.no_grad()
def channel_activity(network: nn.Sequential, z: Tensor) -> tuple[int, Tensor]:
    """Which child of `network` is the last to give images, and the mean activation of its channels on z: (channels,).

    Raises WrongUse where no child gives images (batch, channels, h, w).
    """
    network.eval()
    last, activity = -1, torch.zeros(0)
    for place, child in enumerate(network):
        z = child(z)
        if z.dim() == 4:
            last, activity = place, z.mean(dim=(0, 2, 3))
    if last < 0:
        raise WrongUse("channels are pruned in convolutional networks, and this one has no channels")
    return last, activity


def pruned(network: nn.Sequential, z: Tensor, share: float) -> nn.Sequential:
    """A copy of `network` without the `share` of channels, rounded down, that is least active on clean images z."""
    place, activity = channel_activity(network, z)
    kept = torch.ones_like(activity)
    kept[activity.argsort(stable=True)[: int(share * len(activity))]] = 0
    children = list(copy.deepcopy(network))
    return nn.Sequential(*children[: place + 1], Mask(kept), *children[place + 1 :]).eval()


def _run(doubtful: Doubtful) -> nn.Module:
    reserved: Rows = doubtful.reserved
    return fine_tuned(pruned(doubtful.network, reserved.z, SHARE), reserved, REPAIR, doubtful.seed)


FINE_PRUNING = BackdoorDefence(
    name="fine-pruning",
    description="cuts off channels that clean rows leave idle, then goes on learning on clean rows",
    needs="clean rows, and a trained network",
    run=_run,
)
"""FinePruning of the last convolutional stage.

Differs from the paper: half of the channels go, whatever that costs, where the paper stops when accuracy falls; MeCa
prunes its second layer, by a share that is not known. Recalled, not read again.
"""
