"""ABL: what is learnt suspiciously fast is isolated early and unlearnt late (Li et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.defences.backdoor_defence import BackdoorDefence, Doubtful, new_network
from training.defences.robust_training import (
    Curriculum,
    Schedule,
    cross_entropy,
    logits_in_pieces,
    train_robustly,
)
from training.defences.unlearning import unlearned
from training.rows import Rows

__all__ = ["ABL", "FLOOR", "ISOLATED", "isolated", "local_ascent"]

FLOOR = 0.5
"""γ: the loss in nats below which a row's loss is climbed."""

ISOLATED = 0.01
"""Share of rows that are isolated."""

_ISOLATION = Schedule(epochs=10, drops=(), rate=2e-3)
_UNLEARNING = Schedule(epochs=3, drops=(), rate=5e-4)


def local_ascent(logits: Tensor, y: Tensor) -> Tensor:
    """sign(ℓ - γ) ℓ of each row (batch,), ℓ its cross-entropy, γ = `FLOOR`: no clean row falls far below γ."""
    loss = cross_entropy(logits, y)
    return torch.sign(loss.detach() - FLOOR) * loss


@torch.no_grad()
def isolated(network: nn.Module, rows: Rows, share: float) -> Tensor:
    """The `share` of rows, at least one, with the lowest cross-entropy: bool (n,). The loss is -suspicion."""
    losses = cross_entropy(logits_in_pieces(network, rows.z), rows.y)
    lowest = losses.argsort(stable=True)[: max(1, round(share * len(rows)))]
    found = torch.zeros(len(rows), dtype=torch.bool, device=rows.z.device)
    found[lowest] = True
    return found


def _run(doubtful: Doubtful) -> nn.Module:
    rows, seed = doubtful.rows, doubtful.seed
    network = new_network(doubtful)
    train_robustly(network, Curriculum.of(rows), _ISOLATION, seed, loss=local_ascent)
    suspected = isolated(network, rows, ISOLATED)
    curriculum = Curriculum.of(rows)
    curriculum.drop(suspected)
    train_robustly(network, curriculum, doubtful.schedule, seed)
    return unlearned(network, rows, suspected, ~suspected, _UNLEARNING, seed)


ABL = BackdoorDefence(
    name="abl",
    description="isolates rows that are learnt fastest, trains on the rest, and unlearns what was isolated",
    needs="nothing",
    run=_run,
)
"""ABL, γ = 0.5, 1 % isolated.

Differs from the paper: 10 epochs before isolation, not 20, and 3 of unlearning, not 20, which small networks take; what
is unlearnt goes no further than a guess, and the other rows are learnt beside it. Recalled, not read again; γ and the
share are the paper's.
"""
