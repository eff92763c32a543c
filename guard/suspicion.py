"""What counts as evidence against a source, for one bundle: events among p-values, and the bounds on clean samples.

An honest source's samples are like the trusted ones, but for a `tolerated` share of honest mistakes. Given the
calibration, a sample of his has p ≤ t_j with probability at most F(t_j) + tolerated · (1 − F(t_j)). Nobody knows F. Of
all calibrations a share 1 − q_g keeps below F̄_g (`guard.rate_bounds`), q_1 > … > q_G. Bets (`guard.betting`) are placed
against each of the bounds u_g = F̄_g + tolerated · (1 − F̄_g), and a source's evidence is the least of them, weighted:

    E = min over g of v_g · C_g,    v_1 = s_1,    v_g = v_(g−1) + s_g / q_(g−1),    Σ s_g = 1.

**Level.** For a calibration that keeps below F̄_g and not below the one before, v_g · C_g is a supermartingale from v_g
on: its false accusations are at most v_g times those of a level. Over all calibrations the mean of v_g is at most
v_1 + Σ q_(g−1) (v_g − v_(g−1)) = Σ s_g = 1. So bounds that hold for nearly every calibration may be reached with less
evidence, those that a typical one keeps need more. That one breaks even the last, q_G = level/10, is that much of the
level; the rest pays for all that is ever tested.

What is assumed: samples of one honest source, given the calibration, are each within these bounds whatever came before.
A source that repeats one odd sample, or whose trade is the odd samples, is not honest in this sense; see the run book.
A p-value below what the calibration resolves says no more than that, so that extrapolated tails cannot accuse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from guard.betting import STAKES, Bets, log_arrival_weight, log_mean
from guard.calibration import Fusion
from guard.rate_bounds import rate_bounds, resolution

__all__ = ["FLOOR", "LEVEL", "TOLERATED", "Suspicion", "suspicion_of"]

LEVEL = 0.01
"""Probability that any honest source is ever accused."""

TOLERATED = 0.005
"""Honest contributors mislabel too; a source is not to be held for one wrong label in two hundred."""

_STEP = 4.0
_WIDEST = 0.3
"""Thresholds go up in steps of four: evidence of a subtler poison, which passes, lies in the middle of the range."""

_MISSES = (0.3, 0.05, 0.008)
_LAST_MISS = 0.1
"""q_g; the last one as a share of the level."""

_SPENT = (0.1, 0.2, 0.3, 0.4)
"""s_g. Most goes to the bounds that every calibration keeps: there the hits of a poisoner are worth least."""

_BACK_LEVEL = 0.05
_BACK_EXCESS = 0.05
"""A way back wants it shown, at this level, that fewer samples than this are suspect beyond the bound."""

FLOOR = -3.0
"""log E at which a round is given up and the next one begins: else ten thousand honest records would be a credit that
a source can use up, or a stolen account."""


_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_Bounds = Annotated[tuple[tuple[_Share, ...], ...], msgspec.Meta(min_length=1)]
_Thresholds = Annotated[tuple[Annotated[float, msgspec.Meta(gt=0, le=2)], ...], msgspec.Meta(min_length=1)]


class Suspicion(msgspec.Struct, frozen=True, dict=True):
    """Thresholds t_j (J,), ascending, their bounds u_gj (G, J), and which threshold decides a way back.

    `bundle`: the digest that all counts belong to; `weights`: v_g (G,), as multiples of the first; `level`: how likely
    any honest source is ever accused, over `places` partitions, each of which numbers its sources by itself. Raises
    ValueError where these do not fit each other.
    """

    bundle: str
    thresholds: _Thresholds
    bounds: _Bounds
    weights: tuple[Annotated[float, msgspec.Meta(ge=1, le=1e6)], ...]
    back: Annotated[int, msgspec.Meta(ge=0)]
    level: _Share
    places: Annotated[int, msgspec.Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        sizes = {len(bounds) for bounds in self.bounds}
        if sizes != {len(self.thresholds)} or len(self.weights) != len(self.bounds) or min(sizes) <= self.back:
            raise ValueError("thresholds, bounds and weights do not fit each other")

    def counts_like(self, other: Suspicion) -> bool:
        """Whether counts by one are counts by the other: of the same bundle, with the same thresholds."""
        return (self.bundle, self.thresholds) == (other.bundle, other.thresholds)

    @property
    def cells(self) -> int:
        """Counts of one source: one for each threshold, one for larger p-values, one for records without."""
        return len(self.thresholds) + 2

    def cell_of(self, p_values: Sequence[float | None]) -> NDArray[np.int64]:
        """The cell of each p-value: the first threshold that it does not exceed; one more, and the last, for None."""
        p = np.array(p_values, np.float64)
        cells = np.searchsorted(self.thresholds, p, side="left")
        cells[np.isnan(p)] = self.cells - 1
        return cells

    def log_evidence(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Evidence log E (m,) against sources with `counts` (m, cells), as a multiple of what it was at first."""
        return self._least(log_mean(self._capital(counts)))

    def log_joint(self, counts: NDArray[np.int64], rounds: NDArray[np.int64]) -> float:
        """Evidence log E against one source, with `counts` (k, cells) in k partitions, in these `rounds` (k,) there.

        Who has reserved δ_r for each round of each partition has there, of every bet, W = δ_r C + 1/(r + 1): what the
        round that runs has become, and what is left for later ones; what rounds that were given up have left, forgone.
        W begins at 1, so does the product of those of disjoint records, and so does the mean over the bets.
        """
        each = np.log(rounds * (rounds + 1.0))[:, None, None]
        worth = np.logaddexp(self._capital(counts) - each, -np.log(rounds + 1.0)[:, None, None])
        return float(self._least(log_mean(worth.sum(axis=0, keepdims=True)))[0])

    def log_return(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Evidence log E (m,) for accused sources: evidence against the hypothesis that they still send poison."""
        seen = counts[:, :-1].sum(axis=1)
        good = seen - counts[:, : self.back + 1].sum(axis=1)
        return self._in_favour.log_evidence(seen, good[:, None])

    def log_needed(self, number: int) -> float:
        """The log E at which the `number`-th source of a partition is accused, rounds paid for.

        Each source may be accused by what one partition says of it, or by what all say: with several, both count.
        """
        tests = self.places if self.places == 1 else 2 * self.places
        return math.log(tests / (self.level * (1 - _LAST_MISS) * _SPENT[0])) - log_arrival_weight(number)

    def log_back(self, epoch: int) -> float:
        """The log E at which an accused source is let back; after each return more is asked for."""
        return (epoch + 1) / 2 * math.log(1 / _BACK_LEVEL)

    def _capital(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """(m, G, J · stakes) the log of what each single bet against each of the bounds has become."""
        hits = counts[:, : len(self.thresholds)].cumsum(axis=1)
        capital = self._against.log_capital(counts[:, :-1].sum(axis=1), np.tile(hits, len(self.bounds)))
        return capital.reshape(len(counts), len(self.bounds), len(self.thresholds) * len(STAKES))

    def _least(self, log_evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((log_evidence + np.log(self.weights)).min(axis=1))

    @cached_property
    def _against(self) -> Bets:
        return Bets(tuple(bound for bounds in self.bounds for bound in bounds))

    @cached_property
    def _in_favour(self) -> Bets:
        return Bets((1 - min(self.bounds[-1][self.back] + _BACK_EXCESS, 0.99),))


def suspicion_of(
    fusion: Fusion, bundle: str, *, level: float = LEVEL, tolerated: float = TOLERATED, places: int = 1
) -> Suspicion:
    """The thresholds and bounds of one bundle; `places`: into how many partitions its records are spread.

    The lowest threshold is what the calibration resolves, then up in steps of four.
    """
    least = resolution(fusion)
    steps = 1 + max(0, math.floor(math.log(_WIDEST / least, _STEP)))
    thresholds = tuple(least * _STEP**step for step in range(steps))
    misses = (*_MISSES, _LAST_MISS * level)
    weights = np.cumsum(np.array(_SPENT) / np.array([1.0, *misses[:-1]])) / _SPENT[0]
    bounds = []
    for miss in misses:
        _, upper = rate_bounds(fusion, thresholds, 2 * miss)  # half of that is for its lower bounds
        bounds.append(tuple((upper + tolerated * (1 - upper)).tolist()))
    apart: Any = np.abs(np.log(np.array(thresholds) / fusion.alpha))
    # A threshold that a sample reaches in floating point only just is reached.
    edges = tuple(threshold * (1 + 1e-9) for threshold in thresholds)
    return Suspicion(bundle, edges, tuple(bounds), tuple(weights.tolist()), int(apart.argmin()), level, places)
