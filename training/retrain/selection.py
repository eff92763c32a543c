"""The policy applied: of each considered record whether it is taken, or the first rule that leaves it.

Released records come first, then the others in an order drawn from a seed: who sends early, or much at once, does not
get ahead of the others where a cap cuts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.review.filters import parse_duration
from guard.spec import ClassLabel, InputSpec
from training.retrain.intake import Intake, Told
from training.retrain.near_duplicates import flatten, near_twins
from training.retrain.policy import Policy
from training.snapshot import Snapshot

__all__ = ["BANDS", "Left", "Selection", "label_groups", "select"]

BANDS = 10
"""Into how many bands with equally many trusted rows a number as label is cut where classes are counted."""


class Left(StrEnum):
    """Why a record is not taken."""

    MALFORMED = "malformed"
    UNKNOWN_LABEL = "unknown_label"
    RELEASED = "released"
    NOT_RELEASED = "not_released"
    UNDATED = "undated"
    TOO_OLD = "too_old"
    ACCUSED_SOURCE = "accused_source"
    NEAR_DUPLICATE = "near_duplicate"
    CONTRADICTS = "contradicts"
    SOURCE_CAP = "source_cap"
    CLASS_CAP = "class_cap"
    NEW_SHARE_CAP = "new_share_cap"


@dataclass(frozen=True)
class Selection:
    """What the policy decided.

    `left`: of each record of the intake why it is not taken, None for those that are. `taken`: int64 (k,), places in
    `Intake.x`, ascending.
    """

    left: list[Left | None]
    taken: NDArray[np.int64]


def select(intake: Intake, trusted: Snapshot, policy: Policy, *, now: float, seed: int) -> Selection:
    """Which records of `intake` the `policy` lets join the `trusted` rows; `now` in seconds since 1970."""
    left: list[Left | None] = [_at_first_sight(one, intake, policy, now) for one in intake.told]
    order = _order(intake, left, seed)
    order = _without_twins(order, intake, trusted, policy, left)
    taken = _within_caps(order, intake, trusted, policy, left)
    return Selection(left, np.sort(np.array(taken, np.int64)))


def label_groups(spec: InputSpec, trusted: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """What labels `y` (n,) are counted by: class indices; for numbers the band of the `trusted` labels, (n,)."""
    if isinstance(spec.label, ClassLabel):
        return y.astype(np.int64)
    inner = np.quantile(trusted, np.arange(1, BANDS) / BANDS)
    return np.searchsorted(inner, y, side="right").astype(np.int64)


def _at_first_sight(one: Told, intake: Intake, policy: Policy, now: float) -> Left | None:
    rules = policy.records
    if one.fault is not None:
        return Left.MALFORMED
    if not one.known:
        return Left.UNKNOWN_LABEL
    if one.released and rules.released == "leave":
        return Left.RELEASED
    if not one.released and rules.released == "only":
        return Left.NOT_RELEASED
    if rules.accused == "leave" and intake.is_accused(one.source):
        return Left.ACCUSED_SOURCE
    return None if rules.max_age is None else _by_age(one, policy, now - parse_duration(rules.max_age))


def _by_age(one: Told, policy: Policy, oldest: float) -> Left | None:
    if isnan(one.time):
        return Left.UNDATED if policy.records.undated == "leave" else None
    return Left.TOO_OLD if one.time < oldest else None


def _order(intake: Intake, left: Sequence[Left | None], seed: int) -> NDArray[np.int64]:
    """Places in `Intake.x` of what is left in the running: released ones first, else drawn."""
    drawn = np.random.default_rng(seed).permutation(len(intake.sound))
    told = [intake.told[place] for place in intake.sound[drawn].tolist()]
    running = np.array([left[place] is None for place in intake.sound[drawn].tolist()], np.bool_)
    released = np.array([one.released for one in told], np.bool_)
    return np.concatenate([drawn[running & released], drawn[running & ~released]])


def _without_twins(
    order: NDArray[np.int64], intake: Intake, trusted: Snapshot, policy: Policy, left: list[Left | None]
) -> NDArray[np.int64]:
    if not len(order):
        return order
    spec, radius = trusted.spec, policy.records.near_duplicate
    known, new = flatten(spec, trusted.x, trusted.x), flatten(spec, trusted.x, intake.x[order])
    twin = near_twins(known, new, radius)
    labels = np.concatenate([trusted.y, intake.y[order]])
    classes = isinstance(spec.label, ClassLabel)
    for row in np.flatnonzero(twin >= 0).tolist():
        contradicts = classes and labels[twin[row]] != labels[len(trusted.y) + row]
        left[intake.sound[order[row]]] = Left.CONTRADICTS if contradicts else Left.NEAR_DUPLICATE
    return order[twin < 0]


def _within_caps(
    order: NDArray[np.int64], intake: Intake, trusted: Snapshot, policy: Policy, left: list[Left | None]
) -> list[int]:
    caps, rows = policy.caps, len(trusted.y)
    room = int(caps.new_share / (1 - caps.new_share) * rows + 1e-9)
    own = np.bincount(label_groups(trusted.spec, trusted.y, trusted.y), minlength=BANDS)
    groups = label_groups(trusted.spec, trusted.y, intake.y)
    by_source: Counter[str | None] = Counter()
    by_group: Counter[int] = Counter()
    taken: list[int] = []
    for place in order.tolist():
        source, group = intake.told[intake.sound[place]].source, int(groups[place])
        why = None
        if len(taken) >= room:
            why = Left.NEW_SHARE_CAP
        elif by_source[source] >= caps.per_source:
            why = Left.SOURCE_CAP
        elif by_group[group] + 1 > caps.class_growth * own[group]:
            why = Left.CLASS_CAP
        if why is not None:
            left[intake.sound[place]] = why
            continue
        taken.append(place)
        by_source[source] += 1
        by_group[group] += 1
    return taken
