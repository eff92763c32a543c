"""Training with the mixture as the head, as easily as with softmax, and the rows that it finds under a wrong label."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.attacks.domain import is_classes
from training.defences.cleansing import Cleanser, Cleansing
from training.defences.lgm.mixture import log_ratio, mixture_network, row_losses
from training.defences.robust_training import Augment, Build, Schedule, logits_in_pieces, train_plain
from training.networks import body
from training.progress import Progress, Silent
from training.rows import Rows

__all__ = ["FROM_RATIO", "LGM_CLEANSER", "MixtureClassifier", "cleanse_by_mixture", "train_lgm"]

FROM_RATIO = 0.25
"""log(d_y / d_other) from which a row is suspected: in squares, the claimed class is 1.3 times as far as another one.

Networks that learn from the other wrong labels, too, place those of the same kind between the two classes.
"""

_FOLDS = 5


class MixtureClassifier(nn.Module):
    """A network with the mixture as its head, read as a classifier: logits −d_k, (batch, …) → (batch, classes)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, z: Tensor) -> Tensor:
        """The nearest mean has the largest logit."""
        distance: Tensor = self.network(z)
        return -distance


def train_lgm(
    rows: Rows,
    schedule: Schedule,
    seed: int,
    *,
    build: Build = body,
    augment: Augment | None = None,
    progress: Progress | None = None,
    name: str = "lgm",
) -> MixtureClassifier:
    """A network trained on `rows` by the large-margin Gaussian mixture loss: one head and one loss for softmax's.

    `build` makes the features, `FEATURES` of them. Raises as `train_plain` does.

    Differs from the paper: Λ = I, equal priors, constant α and λ (see `mixture`). Only the abstract of Sargsyan et al.
    was read; Wan et al. recalled, not read again.
    """
    network, _ = train_plain(
        rows,
        schedule,
        seed,
        build=lambda shape, classes: mixture_network(shape, classes, build),
        loss=row_losses,
        augment=augment,
        progress=progress,
        name=name,
    )
    return MixtureClassifier(network)


def cleanse_by_mixture(rows: Rows, fold: NDArray[np.int8], seed: int, progress: Progress | None = None) -> Cleansing:
    """Rows whose features lie with another class, by networks that never saw them.

    1. Each fifth of the rows, by `fold` modulo 5, is judged by a network trained on the other four: distances d (n, C).
    2. Suspected are rows with log(d_y / d_k) ≥ `FROM_RATIO` for the nearest other class k.
    3. A network is trained on what is left; its readings are the suggested labels.

    The score is log(d_y / d_k). Rows far from every class alike are unusual but contradict no label, and stay.
    Raises as `train_plain` does.

    Differs from the paper: there the likelihood of each sample under its claimed class is looked at, and what follows
    is not in the abstract; cross-fitting and the rule of step 2 are ours.
    """
    part = torch.from_numpy(fold.astype(np.int64) % _FOLDS).to(rows.z.device)
    distance = _distances_out_of_fold(rows, part, seed, progress or Silent())
    score = log_ratio(distance, rows.y)
    suspected = score >= FROM_RATIO
    network = train_lgm(
        rows.select(torch.nonzero(~suspected).squeeze(1)), Schedule().for_rows(len(rows)), seed, progress=progress
    )
    suggested = logits_in_pieces(network, rows.z).argmax(1)
    return Cleansing(score.double().cpu().numpy(), suspected.cpu().numpy(), suggested.cpu().numpy(), network)


def _distances_out_of_fold(rows: Rows, part: Tensor, seed: int, progress: Progress) -> Tensor:
    distance = torch.zeros(len(rows), rows.classes, device=rows.z.device)
    for k in torch.unique(part).tolist():
        held = part == k
        teach = rows.select(torch.nonzero(~held).squeeze(1))
        network = train_lgm(
            teach, Schedule().for_rows(len(teach)), seed + k, progress=progress, name=f"lgm, part {k + 1}"
        )
        distance[held] = -logits_in_pieces(network, rows.z[held])
    return distance


LGM_CLEANSER = Cleanser(
    name="lgm",
    description="networks that never saw a row place its features with another class than the one it claims",
    finds="wrong labels",
    blind_to="labels that are right, however the sample was altered",
    applies=is_classes,
    run=cleanse_by_mixture,
)
"""LGM as a method of cleansing."""
