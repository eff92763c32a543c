"""The judge: decode → score → judge over a batch of records. Whatever cannot be scored is held, never passed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from guard.calibration import Fusion, Judged
from guard.decode import Decoded, Decoder
from guard.encoding import class_indices, illegal_rows, label_value, require_encoded
from guard.manifest import MemberCard
from guard.rejection import Rejection
from guard.runtime import Runtime
from guard.spec import ClassLabel, InputSpec
from guard.verdict import HoldReason, Status, Verdict

__all__ = ["Judge", "Scores"]

_CHUNK = 256
"""Rows of one call: with fewer, ONNX Runtime spends more on each call; with more, what leaves the cache."""


@dataclass(frozen=True)
class Scores:
    """`scores`: float32 (m, K), NaN where a sample could not be scored; `suggestion`: (m,) class index or number."""

    scores: NDArray[np.float32]
    suggestion: NDArray[Any]


class _Claim(msgspec.Struct, frozen=True, gc=False):
    """What a bare array says of its sample; a record says it in its head."""

    label: str | int | float | None
    id: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Judge:
    """Decodes samples, scores them with one graph and judges them by one fusion."""

    spec: InputSpec
    members: tuple[MemberCard, ...]
    decoder: Decoder
    runtime: Runtime
    fusion: Fusion

    def judge(self, records: Sequence[bytes]) -> list[Verdict]:
        """One verdict per record of the wire format, in order. No record, whatever its bytes, makes it raise."""
        return self._verdicts(self.decoder.decode(records))

    def judge_arrays(self, x: NDArray[Any], y: NDArray[Any]) -> list[Verdict]:
        """One verdict per encoded sample `x` (m, …), `y` (m,), in order.

        Rows that the specification does not allow are malformed; a class index outside it is an unknown label.
        Raises WrongUse when the arrays as a whole are not encoded as the specification says.
        """
        require_encoded(self.spec, x, y)
        illegal = illegal_rows(self.spec, x, y)
        legal = np.ones(len(x), np.bool_)
        legal[list(illegal)] = False
        label = self.spec.label
        known = (y >= 0) & (y < len(label.values)) if isinstance(label, ClassLabel) else legal
        heads: list[Any] = [
            illegal.get(row) or _Claim(label_value(self.spec, value)) for row, value in enumerate(y.tolist())
        ]
        index = np.flatnonzero(legal & known)
        return self._verdicts(Decoded(x[index], y[index], index, np.flatnonzero(legal & ~known), heads))

    def score(self, x: NDArray[Any], y: NDArray[Any]) -> Scores:
        """Scores legal encoded samples `x` (m, …), `y` (m,), in as few calls as memory allows.

        A chunk on which ONNX Runtime fails is tried again sample by sample; what fails alone gets NaN.
        Raises WrongUse when the arrays are not encoded as the specification says.
        """
        require_encoded(self.spec, x, y)
        chunks = range(0, len(x), _CHUNK)
        return self._joined([self._score_chunk(x[i : i + _CHUNK], y[i : i + _CHUNK]) for i in chunks], y)

    def _verdicts(self, decoded: Decoded) -> list[Verdict]:
        found = self.score(decoded.x, decoded.y)
        judged = self.fusion.judge(found.scores, class_indices(decoded.y))
        heads: list[Any] = decoded.heads
        verdicts: list[Verdict | None] = [None] * len(heads)
        alpha, clean = self.fusion.alpha, Status.CLEAN
        for position, p in zip(decoded.index.tolist(), judged.p_values.tolist(), strict=True):
            head = heads[position]
            verdicts[position] = Verdict(clean, None, p, alpha, None, None, head.id, head.source, head.label)
        for row in np.flatnonzero(judged.held).tolist():
            position = int(decoded.index[row])
            verdicts[position] = self._held(heads[position], judged, row, found.suggestion[row].item())
        for position in decoded.unknown.tolist():
            verdicts[position] = _quarantined(heads[position], HoldReason.UNKNOWN_LABEL, threshold=alpha)
        return [verdict or _malformed(head) for verdict, head in zip(verdicts, heads, strict=True)]

    def _held(self, head: Any, judged: Judged, row: int, suggestion: float) -> Verdict:
        if not judged.scored[row]:
            return _quarantined(head, HoldReason.NOT_SCORED, threshold=self.fusion.alpha)
        return _quarantined(
            head,
            HoldReason.SUSPECT,
            p_value=float(judged.p_values[row]),
            threshold=self.fusion.alpha,
            member=self.members[judged.fired[row]].name,
            suggested_label=label_value(self.spec, suggestion) if math.isfinite(suggestion) else None,
            detail="held by the z-score boundary, not by alpha" if self.fusion.rule == "zscore" else None,
        )

    def _score_chunk(self, x: NDArray[Any], y: NDArray[Any]) -> Scores:
        try:
            return self._run(x, y)
        except Exception:  # noqa: BLE001 – fail closed: whatever a graph raises on hostile input, the sample is held
            if len(x) == 1:
                return Scores(np.full((1, len(self.members)), np.nan, np.float32), np.zeros(1, y.dtype))
        return self._joined([self._score_chunk(x[i : i + 1], y[i : i + 1]) for i in range(len(x))], y)

    def _run(self, x: NDArray[Any], y: NDArray[Any]) -> Scores:
        scores, suggestion = self.runtime.run(("scores", "suggestion"), x, y)
        if scores.shape != (len(x), len(self.members)) or suggestion.shape != y.shape or suggestion.dtype != y.dtype:
            raise ValueError(f"the graph gave scores {scores.shape} and suggestion {suggestion.shape}")
        if isinstance(self.spec.label, ClassLabel) and not 0 <= suggestion.min() <= suggestion.max() < len(
            self.spec.label.values
        ):
            raise ValueError("the graph suggested a class that is not there")
        return Scores(scores, suggestion)

    def _joined(self, parts: list[Scores], y: NDArray[Any]) -> Scores:
        if len(parts) == 1:
            return parts[0]
        none = Scores(np.empty((0, len(self.members)), np.float32), np.empty(0, y.dtype))
        scores = np.concatenate([none.scores, *(part.scores for part in parts)])
        return Scores(scores, np.concatenate([none.suggestion, *(part.suggestion for part in parts)]))


def _quarantined(head: Any, reason: HoldReason, **found: Any) -> Verdict:
    return Verdict(Status.QUARANTINED, reason, id=head.id, source=head.source, label=head.label, **found)


def _malformed(rejection: Rejection) -> Verdict:
    return Verdict(
        Status.MALFORMED, rejection.reason, id=rejection.id, source=rejection.source, detail=rejection.detail
    )
