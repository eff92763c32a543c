"""Conformal p-values from scores of trusted samples, and the band in which a false-alarm rate can be held.

All functions take scores of which higher is more suspicious. Clean samples are exchangeable with the calibration rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Band",
    "SmoothRanks",
    "band",
    "draw_rates",
    "left_out_surprise",
    "rows_needed",
    "smooth_ranks",
]

Floats = NDArray[np.float64]

_TAIL_FROM = 0.8
_BAND = (0.05, 0.95)
_DRAWS = 100_000
_MAX_SURPRISE = 1e9
_LEAST_SCALE = float(np.finfo(np.float64).tiny)
_SEED = 20_210


def rows_needed(alpha: float) -> int:
    """Calibration rows from which α in (0, 1) is guaranteed: the smallest n whose least p-value 1/(n + 1) reaches α."""
    n = math.ceil(1 / alpha) - 1
    return n - 1 if 1 / n <= alpha else n


@dataclass(frozen=True)
class SmoothRanks:
    """Calibration scores whose p-value goes on falling beyond the largest of them.

    `ordered`: (n,) ascending; `inverse_p_at`: (n,) 1/p at each of them; `surprise_at`: (n + 1,), −log p where r scores
    lie below; the tail begins above `start`, where −log p is `surprise_at_start`, and falls with `scale` (infinite
    where ties leave nothing above `start`).
    """

    ordered: Floats
    inverse_p_at: Floats
    surprise_at: Floats
    start: float
    surprise_at_start: float
    scale: float

    def p_values(self, scores: Floats) -> Floats:
        """p-values of `scores` (m,), with 1/p linear between the ranks; 1/(n + 1) from the largest score on.

        At the j-th largest calibration score p = j/(n + 1), the share of exchangeable samples above it. A share w of
        the way down to the next one, 1/p = (n + 1) ((1 − w)/j + w/(j + 1)). So α is used up between two ranks: the
        conformal p-value (1 + #{≥ s})/(n + 1) would round α (n + 1) = 1.9 down to 1. For exponential tails, as that of
        a surprise is, the share of clean samples with p ≤ α is α on average over calibrations: between two ranks it is
        U^(1−w) U'^w with U/U' ~ Beta(j, 1) and E U' = (j + 1)/(n + 1). For any density it lies between those of the
        two ranks. Tied scores keep the conformal p-value, which counts all.
        """
        n = len(self.ordered)
        conformal = (1 + n - np.searchsorted(self.ordered, scores, side="left")) / (n + 1)
        return np.minimum(conformal, 1 / np.interp(scores, self.ordered, self.inverse_p_at, right=n + 1.0, left=1.0))

    def surprise(self, scores: Floats) -> Floats:
        """−log p of `scores` (m,): of the conformal rank up to `start`, of the exponential tail above it."""
        rank = np.searchsorted(self.ordered, scores, side="left")
        with np.errstate(over="ignore"):
            tail = np.minimum(self.surprise_at_start + (scores - self.start) / self.scale, _MAX_SURPRISE)
        return np.where(scores > self.start, tail, self.surprise_at[rank])


def smooth_ranks(calibration: Floats) -> SmoothRanks:
    """Ranks of `calibration` (n,) with an exponential tail above its 80 % quantile.

    With u the ⌈.8 n⌉-th smallest score, m = #{s > u} and b = mean(s − u | s > u), the p-value of s > u is
    ((m + 1)/(n + 1)) · exp(−(s − u)/b). Continuous from above at u and never rising in s. There is no guarantee beyond
    the fit: `band` says what it is worth. Where m = 0 the p-value stays at 1/(n + 1).
    """
    ordered = np.sort(calibration)
    n = len(ordered)
    start = float(ordered[n - _rows_in_tail(n) - 1])
    excess = ordered[ordered > start] - start
    scale = max(float(excess.mean()), _LEAST_SCALE) if len(excess) else math.inf
    surprise_at = -np.log((1 + n - np.arange(n + 1)) / (n + 1))
    return SmoothRanks(
        ordered, _inverse_p_at(ordered), surprise_at, start, -math.log((len(excess) + 1) / (n + 1)), scale
    )


def left_out_surprise(calibration: Floats) -> Floats:
    """(n,) −log p of every calibration row, as `smooth_ranks` of the other n − 1 rows gives it, in closed form.

    A row that took part in its own tail looks less extreme than a new sample does; a threshold from such rows would
    hold up to 1.6 α of the clean samples with five members and n = 99.
    """
    ordered = np.sort(calibration)
    n = len(ordered)
    last_body = n - _rows_in_tail(n - 1) - 2
    origin = ordered[last_body]
    position = np.searchsorted(ordered, calibration, side="left")
    start = np.where(position <= last_body, ordered[last_body + 1], origin)
    first = np.searchsorted(ordered, start, side="right")
    in_tail = calibration > start
    above = n - first - in_tail
    sums = np.append(np.cumsum((ordered - origin)[::-1])[::-1], 0.0)[first] - np.where(
        in_tail, calibration - origin, 0.0
    )
    scale = np.where(above > 0, np.maximum(sums / np.maximum(above, 1) - (start - origin), _LEAST_SCALE), math.inf)
    with np.errstate(over="ignore"):
        tail = np.minimum(-np.log((above + 1) / n) + (calibration - start) / scale, _MAX_SURPRISE)
    return np.where(in_tail, tail, -np.log((n - position) / n))


@dataclass(frozen=True)
class Band:
    """The share of clean samples that will be held: between `low` and `high` for nine calibrations out of ten."""

    low: float
    high: float
    extrapolated: bool


def band(alpha: float, sizes: Sequence[int]) -> Band:
    """The 5–95 % band of the realised rate at α, with calibration rows in groups of `sizes`, in those proportions.

    In a group of n rows with α (n + 1) ≥ 1 the rate is Beta(α (n + 1), (1 − α) (n + 1)): exact at whole ranks, between
    them Stigler's fractional order statistic (1977). Below that the tail is extrapolated: with m rows in the tail and
    p̂_u = (m + 1)/(n + 1) it is p_u (α/p̂_u)^G, p_u ~ Beta(m + 1, n − m), G ~ Gamma(m, 1/m) the relative error of the
    fitted scale; right for tails that are exponential. Quantiles are those of `draw_rates`, within 1 % of their value.
    """
    low, high = np.quantile(draw_rates(alpha, sizes), _BAND)
    return Band(float(low), float(high), extrapolated=min(sizes) < rows_needed(alpha))


def draw_rates(alpha: float, sizes: Sequence[int]) -> Floats:
    """(100 000,) seeded draws of the realised rate at α, over calibrations in groups of `sizes` rows; see `band`."""
    rng = np.random.default_rng(_SEED)
    shares = np.asarray(sizes) / sum(sizes)
    rates: Floats = np.zeros(_DRAWS)
    for share, n in zip(shares, sizes, strict=True):
        rates += share * _draw_rates(alpha, n, rng)
    return rates


def _draw_rates(alpha: float, n: int, rng: np.random.Generator) -> Floats:
    if n >= rows_needed(alpha):
        return rng.beta(alpha * (n + 1), (1 - alpha) * (n + 1), _DRAWS)
    m = _rows_in_tail(n)
    if m == 0:
        return rng.uniform(size=_DRAWS)
    beyond = rng.beta(m + 1, n - m, _DRAWS)
    return beyond * (alpha * (n + 1) / (m + 1)) ** rng.gamma(m, 1 / m, _DRAWS)


def _rows_in_tail(n: int) -> int:
    return n - math.ceil(_TAIL_FROM * n)


def _inverse_p_at(ordered: Floats) -> Floats:
    """(n,) 1/p at each of the ascending scores: p = j/(n + 1) at the j-th largest, one rank more where scores tie."""
    n = len(ordered)
    first, last = (np.searchsorted(ordered, ordered, side) for side in ("left", "right"))
    at_least = n - first
    return np.asarray((n + 1) / (at_least + (last - first > 1)))
