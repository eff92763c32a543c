"""Which columns made a sample suspicious: each one in turn takes a trusted value, and the sample is judged again.

Feature ablation: with x the sample, b the trusted sample nearest to it that has the claimed label, k the member that
spoke loudest and L_k its loudness −log p̃_k + log w_k, column j weighs w_j = max(0, L_k(x) − L_k(x with x_j = b_j)).
Loudness goes on rising where a p-value has reached its least, so a column is found also where others are as wrong.
Columns that only matter together show less than they should; the members are asked as they are, so nothing is guessed
about them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.bundle import Bundle
from guard.encoding import class_indices

__all__ = ["Ablation", "ablate"]

_LEAST_WEIGHT = math.log(2)
"""A column is marked when the sample would be at least twice less suspicious without it …"""

_LEAST_SHARE = 0.2
"""… and it weighs a fifth of the heaviest: where one column is far out, what merely moves along is not pointed at."""


@dataclass(frozen=True)
class Ablation:
    """`weights`: (d,) in nats, zeros where the sample could not be scored; `baseline`: (d,) the trusted values."""

    weights: NDArray[np.float64]
    baseline: NDArray[Any]

    @property
    def shares(self) -> NDArray[np.float64]:
        """(d,) the weights as shares of their sum; zeros where there is none."""
        total = self.weights.sum()
        return self.weights / total if total > 0 else self.weights

    @property
    def blamed(self) -> NDArray[np.bool_]:
        """(d,) the columns that made it suspicious."""
        found: NDArray[np.bool_] = self.weights >= max(_LEAST_WEIGHT, _LEAST_SHARE * float(self.weights.max()))
        return found


def ablate(bundle: Bundle, x: NDArray[Any], y: NDArray[Any]) -> Ablation:
    """Judges the encoded table row `x` (1, d) with label `y` (1,) as it is, and once for each column."""
    judge = bundle.judgement
    baseline = _baseline(bundle, x, y)
    columns = np.arange(x.shape[1])
    variants = np.repeat(x, len(columns) + 1, axis=0)
    variants[columns, columns] = baseline
    labels = np.repeat(y, len(variants))
    scores = judge.score(variants, labels).scores
    fired = judge.fusion.judge(scores[-1:], class_indices(y)).fired[0]
    scored = np.isfinite(scores[:, fired])
    loudness = np.where(scored, judge.fusion.loudness(np.nan_to_num(scores))[:, fired], np.nan)
    return Ablation(np.nan_to_num(np.maximum(loudness[-1] - loudness[:-1], 0.0)), baseline)


def _baseline(bundle: Bundle, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """(d,) the nearest trusted sample with the claimed label; for regression, and where there is none, the nearest."""
    reference = bundle.reference
    features = bundle.judgement.runtime.run(["features"], x, y)[0][0]
    rows, _ = reference.nearest(features, len(reference.y))
    alike = rows[reference.y[rows] == y[0]] if y.dtype == np.int64 else rows
    found: NDArray[Any] = reference.x[alike[0] if len(alike) else rows[0]]
    return found
