"""Testing by betting: evidence from counts of events whose probability is bounded, valid at every time at once.

Null hypothesis: whatever came before, a record falls into the event A_j with probability at most u_j. Who stakes the
share ε of his capital on A_j, at the odds that would be fair at u_j, has it multiplied by

    f(record) = 1 − ε + ε · 1{record in A_j} / u_j,    E f = 1 − ε + ε · P(A_j)/u_j ≤ 1.

So under the null the capital is a non-negative supermartingale that begins at 1, and so is the mean over events and
stakes, as a mixture of such. Of n records, c_j of them in A_j, it depends on nothing but these counts:

    E = mean over j and ε of (1 − ε + ε/u_j)^c_j · (1 − ε)^(n − c_j).

Ville (1939): P(E ever reaches 1/δ) ≤ δ. Counts of disjoint sets of records add up to the evidence of all of them.

Many tests at once: test i of which is decided by 1/(δ γ_i), with Σ γ_i ≤ 1, are all right together with probability
1 − δ, in whatever way they depend on each other (`log_arrival_weight`, `log_round_weight`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from guard.errors import WrongUse

__all__ = ["STAKES", "Bets", "log_arrival_weight", "log_mean", "log_round_weight"]

Floats = NDArray[np.float64]

STAKES = (0.02, 0.05, 0.12, 0.3, 0.7)
"""Shares of the capital. The best stake is near the share of records beyond the bound: these are within a factor of 1.6
of any share from 1 % to all, which costs at most a tenth of the growth."""

_EVEN = 10_000.0
"""The first ten thousand arrivals weigh about the same; a flood of a billion names costs a later one only e^13 more."""


@dataclass(frozen=True)
class Bets:
    """Bets on J events at once. `bounds`: u_j in (0, 1], the largest probability of each event under the null.

    Raises WrongUse for any other bound, and where there is no event.
    """

    bounds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.bounds or not all(0 < bound <= 1 for bound in self.bounds):
            raise WrongUse(f"bounds {self.bounds}: probabilities above 0 and up to 1 were expected")

    @cached_property
    def _lost(self) -> Floats:
        """(stakes,) log of the factor of a record outside the event."""
        return np.asarray(np.log1p(-np.array(STAKES)))

    @cached_property
    def _gain(self) -> Floats:
        """(J, stakes) log of the factor of a record in the event, over that of one outside."""
        stakes = np.array(STAKES)
        return np.asarray(np.log(1 - stakes + stakes / np.array(self.bounds)[:, None]) - self._lost)

    def log_evidence(self, seen: ArrayLike, hits: ArrayLike) -> Floats:
        """Evidence log E (m,) after `seen` (m,) records, `hits` (m, J) of them in each event."""
        capital = self.log_capital(seen, hits)
        return log_mean(capital.reshape(len(capital), -1))

    def log_capital(self, seen: ArrayLike, hits: ArrayLike) -> Floats:
        """(m, J, stakes) the log of what each single bet has become."""
        n, c = np.asarray(seen, np.float64), np.asarray(hits, np.float64)
        return np.asarray(c[:, :, None] * self._gain + n[:, None, None] * self._lost)


def log_mean(logs: Floats) -> Floats:
    """The log of the mean, along the last axis, of what has these logs."""
    best = logs.max(axis=-1)
    return np.asarray(best + np.log(np.exp(logs - best[..., None]).mean(axis=-1)))


def log_arrival_weight(number: int) -> float:
    """Weight log γ_i of the i-th test that was ever begun, i ≥ 1.

    γ_i = h(i − 1) − h(i), h(i) = 1/(1 + log(1 + i/10,000)). The sum telescopes to h(0) = 1, however many there will
    be; γ_i falls hardly faster than 1/i.
    """
    before = 1 + math.log1p((number - 1) / _EVEN)
    after = 1 + math.log1p(number / _EVEN)
    return math.log(math.log1p(1 / (_EVEN + number - 1))) - math.log(before * after)


def log_round_weight(number: int) -> float:
    """Weight log δ_r of the r-th attempt at the same test, r ≥ 1: δ_r = 1/(r (r + 1)).

    They sum to 1; from the (r + 1)-th on 1/(r + 1) is left.
    """
    return -math.log(number * (number + 1))
