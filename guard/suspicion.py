"""What counts as evidence against a source, for one bundle: events among p-values, and the bounds on clean samples.

An honest source's samples are like the trusted ones, but for a `tolerated` share of honest mistakes. Given the
calibration, a sample of his has p ≤ t_j with probability at most

    u_j = F̄(t_j) + tolerated · (1 − F̄(t_j)),

F̄ the upper bound of `guard.rate_bounds`; that it may be wrong for one calibration in 2/level takes half of the level.
The other half pays for all that is ever tested against the bets of `guard.betting`.

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

from guard.betting import Bets, log_arrival_weight, log_round_weight
from guard.calibration import Fusion
from guard.rate_bounds import rate_bounds, resolution

__all__ = ["LEVEL", "TOLERATED", "Suspicion", "suspicion_of"]

LEVEL = 0.01
"""Probability that any honest source is ever accused."""

TOLERATED = 0.005
"""Honest contributors mislabel too; a source is not to be held for one wrong label in two hundred."""

_STEP = 4.0
_WIDEST = 0.3
"""Thresholds go up in steps of four: evidence of a subtler poison, which passes, lies in the middle of the range."""

_BACK_LEVEL = 0.05
_BACK_EXCESS = 0.05
"""A way back wants it shown, at this level, that fewer samples than this are suspect beyond the bound."""

_FLOOR = -3.0
"""log E at which a round is given up and the next one begins: else ten thousand honest records would be a credit that
a source can use up, or a stolen account."""


_Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
_Thresholds = Annotated[tuple[Annotated[float, msgspec.Meta(gt=0, le=2)], ...], msgspec.Meta(min_length=1)]


class Suspicion(msgspec.Struct, frozen=True, dict=True):
    """Thresholds t_j (J,), ascending, their bounds u_j (J,), and which of them decides a way back.

    `bundle`: the digest that all counts belong to; `level`: what is left of it for the stream, over `places`
    partitions, each of which numbers its sources by itself. Raises ValueError where these do not fit each other.
    """

    bundle: str
    thresholds: _Thresholds
    bounds: tuple[_Share, ...]
    back: Annotated[int, msgspec.Meta(ge=0)]
    level: _Share
    places: Annotated[int, msgspec.Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        if not len(self.bounds) == len(self.thresholds) > self.back:
            raise ValueError("thresholds and bounds do not fit each other")

    def counts_like(self, other: Suspicion) -> bool:
        """Whether counts by one are counts by the other: of the same bundle, with the same thresholds."""
        return (self.bundle, self.thresholds) == (other.bundle, other.thresholds)

    @property
    def cells(self) -> int:
        """Counts of one source: one for each threshold, one for larger p-values, one for records without."""
        return len(self.thresholds) + 2

    def cell_of(self, p_values: Sequence[float | None]) -> list[int]:
        """The cell of each p-value: the first threshold that it does not exceed."""
        p = np.array(p_values, np.float64)
        cells = np.searchsorted(self.thresholds, p, side="left")
        cells[np.isnan(p)] = self.cells - 1
        found: list[int] = cells.tolist()
        return found

    def log_evidence(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Evidence log E (m,) against sources with `counts` (m, cells)."""
        hits = counts[:, : len(self.thresholds)].cumsum(axis=1)
        return self._against.log_evidence(counts[:, :-1].sum(axis=1), hits)

    def log_return(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """Evidence log E (m,) for accused sources: evidence against the hypothesis that they still send poison."""
        seen = counts[:, :-1].sum(axis=1)
        good = seen - counts[:, : self.back + 1].sum(axis=1)
        return self._in_favour.log_evidence(seen, good[:, None])

    def log_needed(self, number: int, rounds: int) -> float:
        """The log E at which the `number`-th source of a partition is accused, in its `rounds`-th attempt."""
        weight = log_arrival_weight(number) + log_round_weight(rounds)
        return math.log(self.places / self.level) - weight

    def log_back(self, epoch: int) -> float:
        """The log E at which an accused source is let back; after each return more is asked for."""
        return (epoch + 1) / 2 * math.log(1 / _BACK_LEVEL)

    def is_idle(self, log_evidence: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(m,) whether a round is given up."""
        return log_evidence < _FLOOR

    @cached_property
    def _against(self) -> Bets:
        return Bets(self.bounds)

    @cached_property
    def _in_favour(self) -> Bets:
        return Bets((1 - min(self.bounds[self.back] + _BACK_EXCESS, 0.99),))


def suspicion_of(
    fusion: Fusion, bundle: str, *, level: float = LEVEL, tolerated: float = TOLERATED, places: int = 1
) -> Suspicion:
    """The thresholds and bounds of one bundle; `places`: into how many partitions its records are spread.

    The lowest threshold is what the calibration resolves, then up in steps of four.
    """
    least = resolution(fusion)
    steps = 1 + max(0, math.floor(math.log(_WIDEST / least, _STEP)))
    thresholds = tuple(least * _STEP**step for step in range(steps))
    _, upper = rate_bounds(fusion, thresholds, level / 2)
    bounds = tuple((upper + tolerated * (1 - upper)).tolist())
    apart: Any = np.abs(np.log(np.array(thresholds) / fusion.alpha))
    # A threshold that a sample reaches in floating point only just is reached.
    edges = tuple(threshold * (1 + 1e-9) for threshold in thresholds)
    return Suspicion(bundle, edges, bounds, int(apart.argmin()), level / 2, places)
