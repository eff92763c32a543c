"""FineTuning: a network goes on learning on clean rows alone, and forgets what they do not confirm."""

from __future__ import annotations

import copy

from torch import nn

from training.defences.backdoor_defence import BackdoorDefence, Doubtful
from training.defences.robust_training import Curriculum, Schedule, train_robustly
from training.rows import Rows

__all__ = ["FINE_TUNING", "REPAIR", "fine_tuned"]

REPAIR = Schedule(epochs=10, drops=(), rate=1e-3)
"""Ten epochs at 10⁻³, as in a public toolbox."""


def fine_tuned(network: nn.Sequential, reserved: Rows, schedule: Schedule, seed: int) -> nn.Sequential:
    """A copy of `network` whose layers all go on learning the clean rows `reserved`."""
    found = copy.deepcopy(network)
    train_robustly(found, Curriculum.of(reserved), schedule, seed)
    return found


def _run(doubtful: Doubtful) -> nn.Module:
    return fine_tuned(doubtful.network, doubtful.reserved, REPAIR, doubtful.seed)


FINE_TUNING = BackdoorDefence(
    name="fine-tuning",
    description="lets the network go on learning on clean rows alone",
    needs="clean rows, and a trained network",
    run=_run,
)
"""FineTuning, the baseline of Liu et al. (2018).

Differs from MeCa's, whose rate and number of epochs are not known: those of a public toolbox. AdamW, not SGD.
"""
