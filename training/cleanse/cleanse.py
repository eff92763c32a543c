"""From a doubtful snapshot to the rows of it that may stay: judge them all, and refuse where nothing can be said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from guard.errors import SnapshotRefused, TrainingFailed
from guard.spec import ClassLabel
from training.cleanse.cleansers import choose_cleanser
from training.defences.cleansing import Cleanser, Cleansing
from training.defences.robust_training import Schedule, logits_in_pieces, require_learnt, train_plain
from training.preprocess import Preprocess
from training.progress import Progress, Silent
from training.rows import Rows
from training.snapshot import Snapshot

__all__ = ["LEAST_ROWS", "MOST_SUSPECTED", "ClassCount", "Cleansed", "cleanse_snapshot"]

LEAST_ROWS = 10
"""A class with fewer rows is not judged: no method can tell an outlier among so few, and its rows are named instead."""

MOST_SUSPECTED = 0.5
"""Of the rows judged. Where more are suspected, what is left is no majority whose word could stand against them."""

_HELD_OUT = 5


class ClassCount(NamedTuple):
    """What became of one class. `name`: as it is called in the data; `judged`: whether it has enough rows.

    `let_go`: its rows that resemble each other as poison does, and are read like its other rows.
    """

    name: Any
    rows: int
    suspected: int
    judged: bool
    let_go: int


@dataclass(frozen=True)
class Cleansed:
    """What came of one cleansing.

    `snapshot`: what was judged. `why`: why this method. `verdict`: the method's own. `suspected`, `judged`: bool (n,);
    rows of small classes are neither. `held_out`: the share of rows that a plain network, which had not seen them, read
    as they are labelled, the mean over classes; it measures how far labels follow from rows at all.
    """

    snapshot: Snapshot
    method: Cleanser
    why: str
    verdict: Cleansing
    judged: NDArray[np.bool_]
    suspected: NDArray[np.bool_]
    held_out: float
    seed: int

    @property
    def p(self) -> NDArray[np.float64]:
        """For each row the share of rows at least as suspicious, float64 (n,) in (0, 1]: an order, no error rate."""
        score = self.verdict.score
        return np.asarray((len(score) - np.searchsorted(np.sort(score), score)) / len(score))

    @property
    def class_names(self) -> tuple[Any, ...]:
        """The classes as they are called in the data."""
        label = self.snapshot.spec.label
        return label.values if isinstance(label, ClassLabel) else ()

    @property
    def classes(self) -> list[ClassCount]:
        """Every class of the specification, in its order."""
        found = []
        for k, name in enumerate(self.class_names):
            own = self.snapshot.y == k
            counts = int(own.sum()), int(self.suspected[own].sum())
            let_go = 0 if self.verdict.let_go is None else int(self.verdict.let_go[own].sum())
            found.append(ClassCount(name, *counts, bool(self.judged[own].all()), let_go))
        return found


def cleanse_snapshot(
    snapshot: Snapshot, method: str = "auto", seed: int = 0, progress: Progress | None = None
) -> Cleansed:
    """Judges every row of `snapshot` by `method`, a name in `CLEANSERS` or `auto`.

    1. A plain network learns four of every five rows and must read the fifth better than a guess; where labels do not
    follow from rows, as when all are poisoned at random, nothing can be said. 2. The method judges all rows.
    3. Its last network must read what it calls clean, and no more than half may be suspected.

    Raises WrongUse for data that no method reads; SnapshotRefused for classes too small to judge;
    TrainingFailed where 1 or 3 fails. Poison that is alike in all rows, as a permutation of all labels, leaves no
    contradiction and cannot be found by any method that is given nothing but these rows.
    """
    progress = progress or Silent()
    cleanser, why = choose_cleanser(method, snapshot.spec)
    judged = _judged(snapshot)
    rows = _rows(snapshot)
    held_out = _held_out(rows, snapshot.fold, seed, progress)
    verdict = cleanser.run(rows, snapshot.fold, seed, progress)
    suspected = verdict.suspected & judged
    _require_sense(cleanser, verdict, suspected, judged, rows)
    return Cleansed(snapshot, cleanser, why, verdict, judged, suspected, held_out, seed)


def _judged(snapshot: Snapshot) -> NDArray[np.bool_]:
    """Rows of classes that are large enough."""
    y = snapshot.y.astype(np.int64)
    sizes = np.bincount(y)
    if np.count_nonzero(sizes >= LEAST_ROWS) < 2:
        raise SnapshotRefused(f"fewer than two classes have {LEAST_ROWS} rows: too few to tell an outlier by; add rows")
    return np.asarray(sizes[y] >= LEAST_ROWS)


def _rows(snapshot: Snapshot) -> Rows:
    """The rows as networks see them. Medians and scales are those of all rows: nobody vouches for any of them."""
    preprocess = Preprocess.fit(snapshot.spec, snapshot.x, np.arange(len(snapshot.x)))
    with torch.no_grad():
        z = preprocess(torch.from_numpy(snapshot.x))
    label = snapshot.spec.label
    return Rows(z, torch.from_numpy(snapshot.y), len(label.values) if isinstance(label, ClassLabel) else 0)


def _held_out(rows: Rows, fold: NDArray[np.int8], seed: int, progress: Progress) -> float:
    held = torch.from_numpy(fold % _HELD_OUT == 0)
    teach = rows.select(torch.nonzero(~held).squeeze(1))
    network, _ = train_plain(
        teach, Schedule().for_rows(len(teach)), seed, progress=progress, name="do labels follow from rows?"
    )
    return require_learnt(logits_in_pieces(network, rows.z[held]), rows.y[held], "a network that had not seen them")


def _require_sense(
    cleanser: Cleanser,
    verdict: Cleansing,
    suspected: NDArray[np.bool_],
    judged: NDArray[np.bool_],
    rows: Rows,
) -> None:
    share = suspected.sum() / judged.sum()
    if share > MOST_SUSPECTED:
        raise TrainingFailed(
            f"{cleanser.name} suspects {share:.0%} of the rows: what is left is no majority to judge them by. Nothing "
            "was written; these data cannot be cleansed, only checked by hand or collected again"
        )
    kept = torch.from_numpy(~suspected)
    require_learnt(logits_in_pieces(verdict.network, rows.z[kept]), rows.y[kept], f"{cleanser.name}'s last network")
