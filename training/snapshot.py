"""The trusted snapshot: encoded rows, their input specification, a fixed split, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.spec import InputSpec

__all__ = ["FOLDS", "Snapshot"]

FOLDS = 10
"""Folds of the deterministic split. Identical inputs share a fold: no row is judged by a model that saw its twin."""


@dataclass(frozen=True)
class Snapshot:
    """Trusted rows, encoded as `guard.spec` says.

    `x`: float64 (n, columns) or uint8 (n, height, width, channels); `y`: int64 (n,) class index or float64 (n,);
    `fold`: int8 (n,) in [0, FOLDS); `origin`: int64 (n,) row number in the source, from 1;
    `digest`: SHA-256 of the content.
    """

    spec: InputSpec
    x: NDArray[np.float64] | NDArray[np.uint8]
    y: NDArray[np.int64] | NDArray[np.float64]
    fold: NDArray[np.int8]
    origin: NDArray[np.int64]
    digest: str
    provenance: dict[str, str]
