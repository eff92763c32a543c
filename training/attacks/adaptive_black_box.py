"""The adaptive black-box attack: sends samples, sees which of them pass, and walks from there towards harm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from training.attacks.attack import AttackerRows, Inputs, Labels, Poison, pick
from training.attacks.domain import (
    class_count,
    is_regression,
    label_range,
    require,
    scaled,
    scaled_labels,
    unscaled,
    unscaled_labels,
)
from training.attacks.guarded_attack import Guard, GuardedAttack
from training.attacks.opinion import Opinion, form_opinion, has_opinion

__all__ = ["ADAPTIVE_BLACK_BOX", "QUERIES", "attack_black_box"]

QUERIES = 200
"""Samples that may be sent for each poisoned row, before the one that is meant."""

_GOALS = 9
"""Wrong classes that are tried for each row."""
_HOMES = 3
"""Honest samples that are tried in turn as the end of the way that passes; one of them alone may be held by chance."""
_BISECTIONS = 8
_PROPOSALS = 8
"""Of which only the most harmful, in the attacker's own opinion, is sent: that opinion costs no query."""
_FIRST_STRIDE = 0.3
_GROW, _SHRINK = 1.5, 0.85

Points = NDArray[np.float64]
Flags = NDArray[np.bool_]


def attack_black_box(
    guard: Guard, rows: AttackerRows, count: int, rng: np.random.Generator, *, queries: int = QUERIES
) -> Poison:
    """`count` rows drawn without replacement, each turned into a sample that harms, and that passes where one is found.

    The guard says of each sample whether it passes, nothing else; at most `queries` samples per row are sent. What
    harms the attacker judges by a model of his own (`form_opinion`). For each row, its sample in [0, 1]^d (for numbers
    with the label as the last coordinate):

    1. goal g: the row with a wrong class, or with its number at the farther end of the range. Wrong classes are tried
       in the order of his own model; the first that passes is sent as it is.  2. home v: an honest sample of the goal's
       class, the nearest of three that passes; for numbers the row itself.  3. bisection between home and goal: v, the
       last sample that passes.  4. differential evolution: of 8 proposals v' = v + s (g − v) + s (a − b), a and b rows
       of his own, the most harmful is sent if it harms more than v. If it passes it replaces v and s ← 1.5 s, else
       s ← 0.85 s.

    Rows for which nothing harmful passes are sent as their goal: they are poison that the guard may hold.
    Raises `WrongUse` where `form_opinion` does, and when `count` is not in 1 … len(rows.y).

    Differs from the papers (Storn and Price 1997, "current to best"; Brendel, Rauber, Bethge 2018, the boundary attack;
    recalled, not read again): one individual instead of a population; harm in the attacker's own opinion stands in the
    place of the distance to the goal, so that proposals are sorted before a query is spent.
    """
    require(has_opinion(rows.spec), "classes of images, or tables of numbers without gaps")
    base = pick(rng.permutation(len(rows.y)), count)
    opinion = form_opinion(rows, int(rng.integers(2**31)))
    walk = _Walk(guard, rows, opinion, rng, np.full(count, queries))
    label, done = _choose_goals(walk, base)
    goal = walk.points(rows.x[base], label)
    here, passed = _find_home(walk, base, label, ~done)
    here = _bisect(walk, here, goal, label, passed)
    here = _evolve(walk, here, goal, label, passed)
    better = passed & (walk.harm(here, label) > 0)
    x, y = walk.samples(np.where(better[:, np.newaxis], here, goal), label)
    return Poison(x, y, base, walk.honest_labels(x))


@dataclass(frozen=True)
class _Walk:
    """All that the attacker has. `left`: queries of each of the rows that he poisons, (count,); counted down."""

    guard: Guard
    rows: AttackerRows
    opinion: Opinion
    rng: np.random.Generator
    left: NDArray[np.int64]

    @property
    def numbers(self) -> bool:
        """True for regression, whose label can be moved like any other number."""
        return is_regression(self.rows.spec)

    def points(self, x: Inputs, y: Labels) -> Points:
        """Encoded samples in [0, 1]^d."""
        flat = scaled(x, self.rows.spec)
        return np.column_stack([flat, scaled_labels(y, self.rows.spec)]) if self.numbers else flat

    def samples(self, points: Points, label: Labels) -> tuple[Inputs, Labels]:
        """The legal encoded samples at `points`; for numbers the label stands there, not in `label`."""
        if not self.numbers:
            return self._inputs(points), label
        return self._inputs(points[:, :-1]), unscaled_labels(points[:, -1], self.rows.spec)

    def _inputs(self, flat: Points) -> Inputs:
        if self.rows.x.dtype == np.uint8:
            return np.rint(255 * np.clip(flat, 0, 1)).astype(np.uint8).reshape(-1, *self.rows.x.shape[1:])
        return unscaled(flat, self.rows.spec)

    def harm(self, points: Points, label: Labels) -> Points:
        """The contradiction by the attacker's own model, (n,)."""
        return self.opinion.contradiction(*self.samples(points, label))

    def honest_labels(self, x: Inputs) -> Labels:
        """The right labels, as far as the attacker can tell."""
        told = self.opinion.predict(x)
        return np.clip(told, *label_range(self.rows.spec)).astype(np.float64) if self.numbers else told

    def ask(self, points: Points, label: Labels, which: Flags) -> Flags:
        """Sends the points of `which` rows, as long as they have a query left; those that pass, (count,)."""
        sent = which & (self.left > 0)
        passed = np.zeros(len(which), np.bool_)
        if sent.any():
            self.left[sent] -= 1
            passed[sent] = self.guard.passes(*self.samples(points[sent], label[sent]))
        return passed


def _choose_goals(walk: _Walk, base: NDArray[np.int64]) -> tuple[Labels, Flags]:
    """The wrong label of each row, (count,), and whether the row passes with it as it is."""
    x, y = walk.rows.x[base], walk.rows.y[base]
    done = np.zeros(len(base), np.bool_)
    if walk.numbers:
        low, high = label_range(walk.rows.spec)
        goal = np.where(walk.opinion.predict(x) < (low + high) / 2, high, low)
        return goal, walk.ask(walk.points(x, goal), goal, ~done)
    order, harms = _wrong_classes(walk, x, y)
    label = order[:, 0].copy()
    for rank in range(min(_GOALS, order.shape[1])):
        passed = walk.ask(walk.points(x, y), order[:, rank], ~done & harms[:, rank])
        label[passed], done = order[passed, rank], done | passed
    return label, done


def _wrong_classes(walk: _Walk, x: Inputs, y: Labels) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(count, classes - 1): the other classes, the likeliest first, and whether each would harm."""
    classes = class_count(walk.rows.spec)
    margins = np.stack([walk.opinion.contradiction(x, np.full(len(y), k)) for k in range(classes)], axis=1)
    unlike = np.where(np.arange(classes) == y[:, np.newaxis], np.inf, margins)
    order = unlike.argsort(axis=1, kind="stable")[:, : classes - 1]
    return order, np.take_along_axis(margins, order, axis=1) > 0


def _find_home(walk: _Walk, base: NDArray[np.int64], label: Labels, which: Flags) -> tuple[Points, Flags]:
    """A point of each row that passes with its label, (count, d), and whether there is one."""
    own = walk.points(walk.rows.x, walk.rows.y)
    home, passed = own[base], np.zeros(len(base), np.bool_)
    if walk.numbers:
        return home, walk.ask(home, label, which)
    homes = _nearest_of_class(own, walk.rows.y, base, label)
    for tried in homes:
        asked = which & ~passed & (tried >= 0)
        home = np.where(asked[:, np.newaxis], own[tried], home)
        passed |= walk.ask(home, label, asked)
    return home, passed


def _nearest_of_class(own: Points, y: Labels, base: NDArray[np.int64], label: Labels) -> NDArray[np.int64]:
    """(_HOMES, count): the rows of class `label` nearest to each row of `base`, the nearest first; -1 where none is."""
    found = np.full((_HOMES, len(base)), -1)
    for claimed in np.unique(label):
        rows, members = np.flatnonzero(label == claimed), np.flatnonzero(y == claimed)
        if len(members):
            near = NearestNeighbors(n_neighbors=min(_HOMES, len(members))).fit(own[members])
            index = near.kneighbors(own[base[rows]], return_distance=False).T
            found[: len(index), rows] = members[index]
    return found


def _bisect(walk: _Walk, home: Points, goal: Points, label: Labels, which: Flags) -> Points:
    """Of each of `which` rows the last point known to pass on the way from home to goal; the home of the others."""
    low, high = np.zeros(len(home)), np.ones(len(home))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        passed = walk.ask(_between(home, goal, middle), label, which)
        low, high = np.where(passed, middle, low), np.where(passed, high, middle)
    return _between(home, goal, low)


def _between(home: Points, goal: Points, share: NDArray[np.float64]) -> Points:
    return home + share[:, np.newaxis] * (goal - home)


def _evolve(walk: _Walk, start: Points, goal: Points, label: Labels, which: Flags) -> Points:
    """Each of `which` rows as far into harm as its queries carry it."""
    own, here = walk.points(walk.rows.x, walk.rows.y), start.copy()
    harm, stride = walk.harm(here, label), np.full(len(here), _FIRST_STRIDE)
    for _ in range(2 * int(walk.left.max())):
        active = which & (walk.left > 0)
        if not active.any():
            break
        proposed, promised = _propose(walk, own, here, goal, label, stride)
        passed = walk.ask(proposed, label, active & (promised > harm))
        here, harm = np.where(passed[:, np.newaxis], proposed, here), np.where(passed, promised, harm)
        stride = np.where(passed, np.minimum(_GROW * stride, 1), _SHRINK * stride)
    return here


def _propose(
    walk: _Walk, own: Points, here: Points, goal: Points, label: Labels, stride: NDArray[np.float64]
) -> tuple[Points, NDArray[np.float64]]:
    """The most harmful of `_PROPOSALS` steps of each row, (count, d), and how much it harms, (count,)."""
    count = len(here)
    first, second = walk.rng.integers(len(own), size=(2, _PROPOSALS, count))
    moved = np.clip(here + stride[:, np.newaxis] * ((goal - here) + own[first] - own[second]), 0, 1)
    claimed = label[np.tile(np.arange(count), _PROPOSALS)]
    harm = walk.harm(moved.reshape(_PROPOSALS * count, -1), claimed).reshape(_PROPOSALS, count)
    best = harm.argmax(axis=0)
    return moved[best, np.arange(count)], harm[best, np.arange(count)]


ADAPTIVE_BLACK_BOX: GuardedAttack[Guard] = GuardedAttack(
    name="adaptive-black-box",
    description="sends samples to see which pass, and walks from those that do to wrong ones that still do",
    needs="to be told of 200 samples per poisoned row whether they pass, and rows of its own, all numbers without gaps",
    applies=has_opinion,
    run=attack_black_box,
)
"""200 queries per row."""
