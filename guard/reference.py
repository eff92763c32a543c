"""Reference samples: a part of the trusted data that travels with the bundle, to show a held sample's neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.encoding import first_illegal, label_kind, row_kind
from guard.errors import BundleRefused
from guard.npz import ArrayKind, pack_arrays, unpack_arrays
from guard.spec import InputSpec

__all__ = ["MAX_REFERENCE_ROWS", "Reference"]

MAX_REFERENCE_ROWS = 2000


@dataclass(frozen=True)
class Reference:
    """`x`, `y`: encoded trusted samples (r, …); `origin`: int64 (r,) row in the source; `features`: float32 (r, d)."""

    x: NDArray[Any]
    y: NDArray[Any]
    origin: NDArray[np.int64]
    features: NDArray[np.float32]

    def nearest(self, features: NDArray[np.float32], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows and Euclidean distances of the `count` reference samples nearest to `features` (d,), nearest first."""
        distance = np.sqrt(((self.features.astype(np.float64) - features) ** 2).sum(axis=1))
        rows = np.argsort(distance, kind="stable")[:count]
        return rows, distance[rows]

    def to_bytes(self) -> bytes:
        """The file `reference.npz`."""
        return pack_arrays({name: getattr(self, name) for name in ("x", "y", "origin", "features")})

    @staticmethod
    def from_bytes(data: bytes, spec: InputSpec) -> Reference:
        """Reads `reference.npz`. Raises BundleRefused."""
        kinds = {
            "x": row_kind(spec),
            "y": label_kind(spec),
            "origin": ArrayKind("<i8", (None,)),
            "features": ArrayKind("<f4", (None, None)),
        }
        reference = Reference(**unpack_arrays(data, kinds, "reference.npz", BundleRefused))
        rows = {len(reference.x), len(reference.y), len(reference.origin), len(reference.features)}
        if len(rows) != 1 or max(rows) > MAX_REFERENCE_ROWS:
            raise _refused(f"its arrays have {sorted(rows)} rows; they must all have the same number, at most 2000")
        if fault := first_illegal(spec, reference.x, reference.y):
            raise _refused(fault)
        if not np.isfinite(reference.features).all():
            raise _refused("a feature is not finite")
        return reference


def _refused(what: str) -> BundleRefused:
    return BundleRefused(f"reference.npz: {what}; copy the bundle again from where it was made, or train it again")
