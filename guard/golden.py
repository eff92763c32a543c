"""Golden vectors: inputs with the scores and verdicts that the bundle gave when it was made, replayed at every load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.calibration import Calibration, Fusion
from guard.encoding import class_indices, first_illegal, label_kind, row_kind
from guard.errors import BundleRefused
from guard.npz import ArrayKind, pack_arrays, unpack_arrays
from guard.spec import InputSpec

__all__ = ["TOLERANCE", "Golden", "replay"]

TOLERANCE = 1e-4
"""How far a replayed score may lie from the golden one, in units of the member's scale: processors round apart."""

_P_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Golden:
    """`x`, `y`: encoded samples (g, …); `scores`: float32 (g, K); `p_values`, `held`: (g,) at the manifest's α."""

    x: NDArray[Any]
    y: NDArray[Any]
    scores: NDArray[np.float32]
    p_values: NDArray[np.float64]
    held: NDArray[np.bool_]

    @staticmethod
    def judged(fusion: Fusion, x: NDArray[Any], y: NDArray[Any], scores: NDArray[np.float32]) -> Golden:
        """The golden vectors of `x` and `y`, whose scores are `scores`, as `fusion` judges them."""
        judged = fusion.judge(scores, class_indices(y))
        return Golden(x, y, scores, judged.p_values, judged.held)

    def to_bytes(self) -> bytes:
        """The file `golden.npz`."""
        return pack_arrays({name: getattr(self, name) for name in ("x", "y", "scores", "p_values", "held")})

    @staticmethod
    def from_bytes(data: bytes, spec: InputSpec) -> Golden:
        """Reads `golden.npz`. Raises BundleRefused."""
        kinds = {
            "x": row_kind(spec),
            "y": label_kind(spec),
            "scores": ArrayKind("<f4", (None, None)),
            "p_values": ArrayKind("<f8", (None,)),
            "held": ArrayKind("|b1", (None,)),
        }
        golden = Golden(**unpack_arrays(data, kinds, "golden.npz", BundleRefused))
        rows = {len(golden.x), len(golden.y), len(golden.scores), len(golden.p_values), len(golden.held)}
        if len(rows) != 1 or rows == {0}:
            raise _refused(f"its arrays have {sorted(rows)} rows; they must all have the same number, at least 1")
        if fault := first_illegal(spec, golden.x, golden.y):
            raise _refused(fault)
        return golden


def replay(golden: Golden, scores: NDArray[np.float32], calibration: Calibration, fusion: Fusion) -> None:
    """Compares `scores` (g, K), just computed from the golden inputs, with the golden ones, and every verdict.

    Raises BundleRefused.
    """
    _compare_scores(golden, scores, calibration)
    labels = class_indices(golden.y)
    stored = fusion.judge(golden.scores, labels)
    agrees = np.abs(stored.p_values - golden.p_values) <= _P_TOLERANCE
    if not agrees.all() or not np.array_equal(stored.held, golden.held):
        row = int(np.argmin(agrees & (stored.held == golden.held)))
        raise _refused(f"the verdict of golden row {row} does not follow from calibration.npz and α")
    changed = fusion.judge(scores, labels).held != golden.held
    if changed.any():
        raise _refused(f"model.onnx gives golden row {int(np.argmax(changed))} another verdict than when it was made")


def _compare_scores(golden: Golden, scores: NDArray[np.float32], calibration: Calibration) -> None:
    if scores.shape != golden.scores.shape:
        raise _refused(f"model.onnx gives scores {scores.shape} where {golden.scores.shape} are golden")
    drift = np.abs(scores.astype(np.float64) - golden.scores) / calibration.scale
    wrong = ~(drift <= TOLERANCE)
    if wrong.any():
        row, member = (int(i) for i in np.argwhere(wrong)[0])
        raise _refused(
            f"model.onnx gives golden row {row} the score {scores[row, member]:.6g} for member {member}, "
            f"where {golden.scores[row, member]:.6g} is golden"
        )


def _refused(what: str) -> BundleRefused:
    return BundleRefused(f"golden.npz: {what}; copy the bundle again from where it was made, or train it again")
