"""Training without clean data on rows that may hold a backdoor: find the poison, leave it out, give it right labels."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from guard.errors import WrongUse
from training.attacks.domain import is_image_classes
from training.defences.backdoor_defence import BackdoorDefence, Doubtful
from training.defences.cleansing import Cleanser, Cleansing
from training.defences.meca.confirmation import confirm
from training.defences.meca.enhancement import Half, enhance
from training.defences.robust_training import (
    Build,
    Curriculum,
    Schedule,
    logits_in_pieces,
    train_plain,
    train_robustly,
)
from training.networks import body
from training.progress import Progress
from training.rows import Rows

__all__ = [
    "FROM_PROBABILITY",
    "MECA",
    "MECA_CLEANSER",
    "MECA_RELABELLED",
    "Meca",
    "cleanse_by_consistency",
    "relabel_and_relearn",
    "train_meca",
]

FROM_PROBABILITY = 0.5
"""Probability from which a row is suspected: the network that fits poison alone is surer of its label than not."""

_RELEARN = Schedule(5, (), rate=4e-4)
_SCHEDULE = Schedule(40, (24, 34))
"""Twice the usual: half of the rows must teach a network what a trigger means."""


@dataclass(frozen=True)
class Meca:
    """What came of it.

    `network`: trained on the rows found clean. `score`: (n,) in [0, 1], the probability that the enhanced network which
    has not seen a row gives to its label, high for poison. `suspected`: bool (n,).
    """

    network: nn.Module
    score: Tensor
    suspected: Tensor


def train_meca(
    rows: Rows,
    second: Tensor,
    schedule: Schedule,
    seed: int,
    *,
    build: Build = body,
    progress: Progress | None = None,
) -> Meca:
    """A network that is trained on what of `rows`, images, is found clean; neither clean rows nor a rate are given.

    1. Two networks are trained, each on its half of the rows; `second`: bool (n,), which rows are the second half.
    2. Both are enhanced. 3. Rows to which the network that has not seen them gives their label with at least
    `FROM_PROBABILITY` are suspected. 4. Suspected rows are confirmed, in half of the schedule, or let go. 5. A new
    network learns from all others.
    Raises WrongUse for tables, whose columns have no patches; else as `train_plain` does.

    Differs from the paper: halves, see `enhance`; there a row is poison where the network that learnt from it reads it
    as labelled, and nothing is confirmed, so that clean rows which resemble each other are left out, too.
    """
    if not rows.images:
        raise WrongUse("MeCa changes patches of images; tables have none")
    halves = tuple(
        _half(rows, torch.nonzero(chosen).squeeze(1), schedule, seed + which, build, progress)
        for which, chosen in enumerate((~second, second))
    )
    taught = [copy.deepcopy(half.network) for half in halves]
    score = enhance((halves[0], halves[1]), seed, progress)
    suspected = confirm(
        rows, score >= FROM_PROBABILITY, taught, _shorter(schedule), seed, build=build, progress=progress
    )
    clean = rows.select(torch.nonzero(~suspected).squeeze(1))
    network, _ = train_plain(clean, schedule, seed, build=build, progress=progress, name="meca, clean rows")
    return Meca(network, score, suspected)


def _shorter(schedule: Schedule) -> Schedule:
    """Half as long: whether rows are read as labelled shows before all that can be learnt has been."""
    return replace(schedule, epochs=max(schedule.epochs // 2, 1), drops=tuple(drop // 2 for drop in schedule.drops))


def _half(
    rows: Rows,
    at: Tensor,
    schedule: Schedule,
    seed: int,
    build: Build,
    progress: Progress | None,
) -> Half:
    own = rows.select(at)
    network, _ = train_plain(own, schedule, seed, build=build, progress=progress, name="meca, one half")
    return Half(own, at, network)


def relabel_and_relearn(network: nn.Module, rows: Rows, suspected: Tensor, seed: int) -> Tensor:
    """Step 5: `network` reads the `suspected` rows, and goes on learning from all rows under those labels, in place.

    Returns the labels of all rows, int64 (n,): the claimed ones of clean rows, the readings of suspected ones.
    """
    curriculum = Curriculum.of(rows)
    at = torch.nonzero(suspected).squeeze(1)
    if len(at):
        curriculum.relabel(at, logits_in_pieces(network, rows.z[at]).argmax(1))
    train_robustly(network, curriculum, _RELEARN, seed, name="meca, relearning")
    return curriculum.y


def cleanse_by_consistency(
    rows: Rows, fold: NDArray[np.int8], seed: int, progress: Progress | None = None
) -> Cleansing:
    """Suspected is what networks that fit poison alone read as it is labelled, and one that fits the rest does not.

    The score is the probability of that label by the former, which have not seen the row. Halves are even and odd
    folds. Raises as `train_meca` does.
    """
    second = torch.from_numpy(fold % 2 == 1).to(rows.z.device)
    found = train_meca(rows, second, _SCHEDULE.for_rows(len(rows)), seed, progress=progress)
    suggested = logits_in_pieces(found.network, rows.z).argmax(1)
    score = found.score.double().cpu().numpy()
    suspected = found.suspected.cpu().numpy()
    let_go = (found.score >= FROM_PROBABILITY).cpu().numpy() & ~suspected
    return Cleansing(score, suspected, suggested.cpu().numpy(), found.network, let_go)


MECA_CLEANSER = Cleanser(
    name="meca",
    description="networks that unlearnt the task, and never saw a row, still read it as it is labelled",
    finds="triggers that many rows carry",
    blind_to="poison that shares no pattern, triggers that differ from row to row and leave labels right",
    applies=is_image_classes,
    run=cleanse_by_consistency,
)
"""MeCa as a method of cleansing."""


@lru_cache(maxsize=1)
def _meca_of(doubtful: Doubtful) -> Meca:
    """The same for both defences below, which a table asks for one after the other."""
    rows = doubtful.rows
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(doubtful.seed))
    second = (order % 2 == 1).to(rows.z.device)
    return train_meca(rows, second, doubtful.schedule, doubtful.seed, build=doubtful.build)


def _run(doubtful: Doubtful) -> nn.Module:
    return _meca_of(doubtful).network


def _run_relabelled(doubtful: Doubtful) -> nn.Module:
    found = _meca_of(doubtful)
    network = copy.deepcopy(found.network)
    relabel_and_relearn(network, doubtful.rows, found.suspected, doubtful.seed)
    return network


MECA = BackdoorDefence(
    name="meca",
    description="networks unlearn the task; what they still read as it is labelled is left out of training",
    needs="nothing",
    run=_run,
)
"""MeCa; see `train_meca` for what differs from the paper."""

MECA_RELABELLED = BackdoorDefence(
    name="meca-relabelled",
    description="as meca; then what was left out is taught under the label that the clean network reads",
    needs="nothing",
    run=_run_relabelled,
)
"""MeCa with relabelling and relearning."""
