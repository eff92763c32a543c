"""Calibration: trusted scores of every member, fused into one p-value and one verdict at a rate α that can be changed.

Numpy only, from arrays in the bundle: an operator re-calibrates without touching the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from guard.conformal import Band, SmoothRanks, band, left_out_surprise, rows_needed, smooth_ranks
from guard.errors import BundleRefused, WrongUse
from guard.manifest import SMALLEST_ALPHA, Alpha
from guard.npz import ArrayKind, pack_arrays, unpack_arrays

__all__ = ["MINIMUM_ROWS", "BoundaryRule", "Calibration", "Fusion", "Judged", "checked_alpha", "fuse"]

Floats = NDArray[np.float64]

BoundaryRule = Literal["conformal", "zscore"]
"""`conformal`: the fused p-value reaches α. `zscore`: the published boundary on the mimic alone."""

MINIMUM_ROWS = 30
"""Fewer rows leave fewer than six in the tail: a rate of 1 % would then be a guess within a factor of ten."""

_OWN_RANKS = 3
"""A class is ranked apart from 3/α rows on; at 1/α one single row would decide for all of it."""

_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST_P = float(np.finfo(np.float64).tiny)

_KINDS = {
    "scores": ArrayKind("<f8", (None, None)),
    "labels": ArrayKind("<i8", (None,)),
    "weights": ArrayKind("<f8", (None,)),
    "boundary": ArrayKind("<f8", (3,)),
}


@dataclass(frozen=True)
class Calibration:
    """Out-of-fold scores of trusted samples.

    `scores`: (n, K) finite, n ≥ 30; `labels`: int64 (n,) class index, zeros for regression; `weights`: (K,) in (0, 1],
    the largest 1; `boundary`: (3,) mean and standard deviation of the mimic's critic on S_aug, and z.
    Raises BundleRefused when they are not.
    """

    scores: Floats
    labels: NDArray[np.int64]
    weights: Floats
    boundary: Floats

    def __post_init__(self) -> None:
        fault = self._fault()
        if fault:
            raise BundleRefused(f"calibration.npz: {fault}; train the bundle again")

    def _fault(self) -> str | None:
        for name, kind in _KINDS.items():
            array = getattr(self, name)
            if not kind.admits(array):
                return f"{name} is {array.dtype.str} {array.shape}, expected {kind}"
        n, members = self.scores.shape
        if n < MINIMUM_ROWS:
            return f"{n} calibration rows are fewer than {MINIMUM_ROWS}"
        if self.labels.shape != (n,) or self.weights.shape != (members,) or members == 0:
            return f"labels {self.labels.shape} or weights {self.weights.shape} do not fit scores {self.scores.shape}"
        if not np.all(np.abs(self.scores) <= _LARGEST) or not np.all(np.abs(self.boundary) <= _LARGEST):
            return "a score or the boundary is not a finite 32-bit number"
        if self.labels.min() < 0:
            return "a label is negative"
        if not np.all((self.weights > 0) & (self.weights <= 1)) or self.weights.max() != 1:
            return "weights must lie in (0, 1] and the largest must be 1"
        return None

    @property
    def scale(self) -> Floats:
        """(K,) the size of each member's scores: their root mean square, at least 1e-3."""
        scale: Floats = np.maximum(np.sqrt(np.mean(self.scores**2, axis=0)), 1e-3)
        return scale

    def to_bytes(self) -> bytes:
        """The file `calibration.npz`."""
        return pack_arrays({name: getattr(self, name) for name in _KINDS})

    @staticmethod
    def from_bytes(data: bytes) -> Calibration:
        """Reads `calibration.npz`. Raises BundleRefused."""
        return Calibration(**unpack_arrays(data, _KINDS, "calibration.npz", BundleRefused))


@dataclass(frozen=True)
class Judged:
    """The judgement of m samples.

    `p_values`: (m,) fused, in (0, 1], NaN where a score is not finite; `held`: (m,); `fired`: int64 (m,) the member
    that speaks loudest against the sample; `scored`: (m,) False where a score is not finite (such a sample is held).
    """

    p_values: Floats
    held: NDArray[np.bool_]
    fired: NDArray[np.int64]
    scored: NDArray[np.bool_]


@dataclass(frozen=True)
class Fusion:
    """Min-p fusion of the members, re-calibrated at one α.

    The statistic of a sample is S = max_k (−log p̃_k(s_k) + log w_k), p̃_k the smooth p-value of member k. Its p-value is
    that of S among the S_i of the calibration rows of the same group; a group is one class with at least 3/α rows, or
    all other classes together. S_i comes from p̃_k of the other rows; but against the same member's voice from p̃_k of
    all rows, which compares score with score. So each member has a list of S_i of its own, and the least of its
    p-values counts. Where a group has too few rows for α the tail of its S_i is extrapolated.

    Differs from the paper: Tippett's minimum of p-values ties at 1/(n + 1), so K members would hold K/(n + 1) of the
    clean samples; the smooth tail keeps apart what lies beyond the largest calibration score.
    """

    alpha: float
    rule: BoundaryRule
    members: tuple[SmoothRanks, ...]
    log_weights: Floats
    group_of: NDArray[np.int64]
    groups: tuple[tuple[SmoothRanks, ...], ...]
    mimic: int
    critic_below: float

    def judge(self, scores: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Judged:
        """Judges `scores` (m, K); `labels`: (m,) class index, zeros for regression."""
        scored = np.isfinite(scores).all(axis=1)
        finite = np.where(scored[:, None], scores, 0.0).astype(np.float64)
        loudness = self.loudness(finite)
        fired = loudness.argmax(axis=1)
        p = np.where(scored, self._fused_p(loudness, labels), np.nan)
        if self.rule == "zscore":
            held = -finite[:, self.mimic] < self.critic_below
            return Judged(p, held | ~scored, np.full_like(fired, self.mimic), scored)
        return Judged(p, (p <= self.alpha) | ~scored, fired, scored)

    def loudness(self, scores: NDArray[np.floating[Any]]) -> Floats:
        """(m, K) −log p̃_k + log w_k in nats of finite scores: how loud each member speaks, without an upper end."""
        return _loudness(self.members, self.log_weights, scores.astype(np.float64, copy=False))

    def member_p_values(self, scores: NDArray[np.floating[Any]]) -> Floats:
        """(m, K) smooth p-value of each member alone; NaN where a score is not finite."""
        columns = [
            np.exp(-member.surprise(column))
            for member, column in zip(self.members, scores.astype(np.float64).T, strict=True)
        ]
        return np.where(np.isfinite(scores), np.clip(np.stack(columns, axis=1), _SMALLEST_P, 1.0), np.nan)

    @property
    def group_sizes(self) -> list[int]:
        """Calibration rows in each group."""
        return [len(by_member[0].ordered) for by_member in self.groups]

    @property
    def rows(self) -> int:
        """Calibration rows in all groups together."""
        return sum(self.group_sizes)

    @property
    def band(self) -> Band:
        """What α can be held to with these calibration rows, in these groups."""
        return band(self.alpha, self.group_sizes)

    @property
    def card(self) -> Alpha:
        """α and its band as the manifest prints them."""
        found = self.band
        return Alpha(
            value=self.alpha,
            band=(found.low, found.high),
            extrapolated=found.extrapolated,
            calibration_rows=self.rows,
        )

    def _fused_p(self, loudness: Floats, labels: NDArray[np.int64]) -> Floats:
        group = self.group_of[np.minimum(labels, len(self.group_of) - 1)]
        p = np.empty(len(loudness))
        for index, by_member in enumerate(self.groups):
            chosen = group == index
            voices = zip(by_member, loudness[chosen].T, strict=True)
            p[chosen] = np.min([_p_in_group(ranks, voice, self.alpha) for ranks, voice in voices], axis=0)
        return p


def fuse(
    calibration: Calibration,
    alpha: float,
    *,
    rule: BoundaryRule = "conformal",
    mimic: int | None = None,
) -> Fusion:
    """The fusion of `calibration` at `alpha`. `mimic`: column of the mimic's score, needed for the rule `zscore`.

    Raises WrongUse when α does not lie in (0, 1), or the z-score rule is asked for without a mimic.
    """
    if rule == "zscore" and mimic is None:
        raise WrongUse("boundary zscore needs the member 'mimic', which this bundle has not; use boundary conformal")
    members = tuple(smooth_ranks(column) for column in calibration.scores.T)
    log_weights = np.log(calibration.weights)
    statistic = _statistic(calibration.scores, members, log_weights)
    group_of = _groups(calibration.labels, checked_alpha(alpha))
    rows = group_of[calibration.labels]
    mean, spread, z = calibration.boundary
    return Fusion(
        alpha=alpha,
        rule=rule,
        members=members,
        log_weights=log_weights,
        group_of=group_of,
        groups=tuple(
            tuple(smooth_ranks(column) for column in statistic[rows == group].T) for group in range(rows.max() + 1)
        ),
        mimic=-1 if mimic is None else mimic,
        critic_below=float(mean + z * spread),
    )


def checked_alpha(alpha: float) -> float:
    """`alpha` itself. Raises WrongUse unless 1e-9 ≤ α < 1."""
    if not SMALLEST_ALPHA <= alpha < 1:
        raise WrongUse(
            f"alpha is {alpha}, but a share of clean samples lies between 0 and 1; 0.01 holds one in a hundred"
        )
    return alpha


def _loudness(members: tuple[SmoothRanks, ...], log_weights: Floats, scores: Floats) -> Floats:
    """(m, K) weighted surprise of each member."""
    columns = [member.surprise(column) for member, column in zip(members, scores.T, strict=True)]
    return np.stack(columns, axis=1) + log_weights


def _statistic(scores: Floats, members: tuple[SmoothRanks, ...], log_weights: Floats) -> Floats:
    """(n, K) the statistic of each calibration row, as it stands against a sample whose loudest member is k.

    A row that takes part in its own tail looks less extreme than a sample does, and one that is left out from a tail of
    its own member makes that tail lighter for itself, but not for the sample beside it.
    """
    inside = _loudness(members, log_weights, scores)
    outside = np.stack([left_out_surprise(column) for column in scores.T], axis=1) + log_weights
    loudest = outside.argmax(axis=1)[:, None] == np.arange(len(members))
    return np.where(loudest, inside, outside.max(axis=1, keepdims=True))


def _p_in_group(ranks: SmoothRanks, statistic: Floats, alpha: float) -> Floats:
    if len(ranks.ordered) >= rows_needed(alpha):
        return ranks.p_values(statistic)
    return np.clip(np.exp(-ranks.surprise(statistic)), _SMALLEST_P, 1.0)


def _groups(labels: NDArray[np.int64], alpha: float) -> NDArray[np.int64]:
    """(classes + 1,) the group of each class, the last entry for classes that calibration never saw.

    Group 0 pools the classes with fewer than 3/α rows. Where the pool itself is too small for α it takes in the
    smallest of the other classes: a partition chosen by counts alone keeps the guarantee, extrapolation would not.
    """
    counts = np.bincount(labels)
    by_size = [int(label) for label in np.argsort(counts, kind="stable")]
    own = [label for label in by_size if counts[label] >= _OWN_RANKS / alpha]
    pooled = len(labels) - int(counts[own].sum())
    while own and pooled < rows_needed(alpha):
        pooled += int(counts[own.pop(0)])
    group_of = np.zeros(len(counts) + 1, dtype=np.int64)
    group_of[own] = 1 + np.arange(len(own))
    return group_of
