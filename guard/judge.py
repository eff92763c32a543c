"""The judge: decode → score → judge over a batch of records. Whatever cannot be scored is held, never passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.calibration import Fusion, Judged
from guard.encoding import class_indices, label_value, require_encoded
from guard.manifest import MemberCard
from guard.runtime import Runtime
from guard.spec import ClassLabel, InputSpec, TableInput
from guard.verdict import HoldReason, Status, Verdict

__all__ = ["Judge", "Scores"]

_CHUNK_TABLE = 1024
_CHUNK_IMAGE = 512


@dataclass(frozen=True)
class Scores:
    """`scores`: float32 (m, K), NaN where a sample could not be scored; `suggestion`: (m,) class index or number."""

    scores: NDArray[np.float32]
    suggestion: NDArray[Any]


@dataclass(frozen=True)
class Judge:
    """Scores encoded samples with one graph and judges them by one fusion."""

    spec: InputSpec
    members: tuple[MemberCard, ...]
    runtime: Runtime
    fusion: Fusion

    def score(self, x: NDArray[Any], y: NDArray[Any]) -> Scores:
        """Scores encoded `x` (m, …), `y` (m,), in as few calls as memory allows.

        A chunk on which ONNX Runtime fails is tried again sample by sample; what fails alone gets NaN.
        Raises WrongUse when the arrays are not encoded as the specification says.
        """
        require_encoded(self.spec, x, y)
        size = _CHUNK_TABLE if isinstance(self.spec.input, TableInput) else _CHUNK_IMAGE
        parts = [self._score_chunk(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]
        if not parts:
            return Scores(np.empty((0, len(self.members)), np.float32), np.empty(0, y.dtype))
        return Scores(np.concatenate([p.scores for p in parts]), np.concatenate([p.suggestion for p in parts]))

    def judge_arrays(self, x: NDArray[Any], y: NDArray[Any]) -> list[Verdict]:
        """The verdicts of encoded samples, in order. A class index outside the specification is an unknown label."""
        if not isinstance(self.spec.label, ClassLabel):
            return self._verdicts(x, y)
        require_encoded(self.spec, x, y)
        known = (y >= 0) & (y < len(self.spec.label.values))
        verdicts = iter(self._verdicts(x[known], y[known]))
        return [next(verdicts) if k else self._unknown_label() for k in known.tolist()]

    def _verdicts(self, x: NDArray[Any], y: NDArray[Any]) -> list[Verdict]:
        found = self.score(x, y)
        judged = self.fusion.judge(found.scores, class_indices(y))
        return self._spell(judged, found.suggestion)

    def _spell(self, judged: Judged, suggestion: NDArray[Any]) -> list[Verdict]:
        alpha = self.fusion.alpha
        verdicts = [Verdict(Status.CLEAN, None, p, alpha) for p in judged.p_values.tolist()]
        for row in np.flatnonzero(judged.held).tolist():
            verdicts[row] = self._held(judged, suggestion, row)
        return verdicts

    def _held(self, judged: Judged, suggestion: NDArray[Any], row: int) -> Verdict:
        if not judged.scored[row]:
            return Verdict(Status.QUARANTINED, HoldReason.NOT_SCORED, threshold=self.fusion.alpha)
        return Verdict(
            Status.QUARANTINED,
            HoldReason.SUSPECT,
            p_value=float(judged.p_values[row]),
            threshold=self.fusion.alpha,
            member=self.members[judged.fired[row]].name,
            suggested_label=label_value(self.spec, suggestion[row].item()),
        )

    def _unknown_label(self) -> Verdict:
        return Verdict(Status.QUARANTINED, HoldReason.UNKNOWN_LABEL, threshold=self.fusion.alpha)

    def _score_chunk(self, x: NDArray[Any], y: NDArray[Any]) -> Scores:
        try:
            return self._run(x, y)
        except Exception:  # noqa: BLE001 – fail closed: whatever a graph raises on hostile input, the sample is held
            if len(x) == 1:
                return Scores(np.full((1, len(self.members)), np.nan, np.float32), np.zeros(1, y.dtype))
        parts = [self._score_chunk(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
        return Scores(np.concatenate([p.scores for p in parts]), np.concatenate([p.suggestion for p in parts]))

    def _run(self, x: NDArray[Any], y: NDArray[Any]) -> Scores:
        scores, suggestion = self.runtime.run(("scores", "suggestion"), x, y)
        if scores.shape != (len(x), len(self.members)) or suggestion.shape != y.shape or suggestion.dtype != y.dtype:
            raise ValueError(f"the graph gave scores {scores.shape} and suggestion {suggestion.shape}")
        return Scores(scores, suggestion)
