"""Why one sample is judged as it is: what each member says, and which trusted samples lie nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from guard.bundle import Bundle
from guard.encoding import class_indices, label_value
from guard.judge import Judge
from guard.spec import ClassLabel
from guard.verdict import HoldReason, Verdict

__all__ = ["Explanation", "MemberOpinion", "Neighbour", "explain_record"]


@dataclass(frozen=True)
class MemberOpinion:
    """What one member says: its score, its p-value alone, its share of the budget, and whether it spoke loudest."""

    name: str
    score: float
    p_value: float
    weight: float
    fired: bool
    blind_to: str


@dataclass(frozen=True)
class Neighbour:
    """A trusted sample near by: its distance in the features of the graph, label, row in its source, and `x`."""

    distance: float
    label: str | int | float | None
    origin: int
    x: NDArray[Any]


@dataclass(frozen=True)
class Explanation:
    """The verdict of one record and its grounds. A record that was not scored has no opinions.

    `x`: the encoded sample, None where the record is malformed; `suggested_label`: the label that the trusted data
    speak for, of a clean sample too. Neighbours depend on x alone: a record with an unknown label has them.
    """

    verdict: Verdict
    x: NDArray[Any] | None
    suggested_label: str | int | float | None
    members: tuple[MemberOpinion, ...]
    neighbours: tuple[Neighbour, ...]


def explain_record(bundle: Bundle, record: bytes, neighbours: int = 5) -> Explanation:
    """Explains one record of the wire format, with up to `neighbours` trusted samples."""
    judge = bundle.judgement
    verdict = judge.judge([record])[0]
    decoded = judge.decoder.decode(
        [record if verdict.reason is not HoldReason.UNKNOWN_LABEL else _known(judge, record)]
    )
    if not len(decoded.x):
        return Explanation(verdict, None, None, (), ())
    found = judge.score(decoded.x, decoded.y)
    if not np.isfinite(found.scores).all():
        return Explanation(verdict, decoded.x[0], None, (), ())
    features = judge.runtime.run(["features"], decoded.x, decoded.y)[0][0]
    near = _neighbours(bundle, features, neighbours)
    if verdict.reason is HoldReason.UNKNOWN_LABEL:
        return Explanation(verdict, decoded.x[0], None, (), near)
    suggestion = label_value(judge.spec, found.suggestion[0].item())
    return Explanation(verdict, decoded.x[0], suggestion, _opinions(bundle, found.scores, decoded.y), near)


def _known(judge: Judge, record: bytes) -> bytes:
    """The record with the first label of the specification, so that the rest of it can be decoded."""
    label = judge.spec.label
    values = label.values if isinstance(label, ClassLabel) else ()
    return msgspec.json.encode({**msgspec.json.decode(record), "label": values[0]})


def _opinions(bundle: Bundle, scores: NDArray[np.float32], y: NDArray[Any]) -> tuple[MemberOpinion, ...]:
    fusion = bundle.judgement.fusion
    fired = int(fusion.judge(scores, class_indices(y)).fired[0])
    p_values = fusion.member_p_values(scores)[0].tolist()
    return tuple(
        MemberOpinion(card.name, float(scores[0, k]), p_values[k], card.weight, k == fired, card.blind_to)
        for k, card in enumerate(bundle.manifest.members)
    )


def _neighbours(bundle: Bundle, features: NDArray[np.float32], count: int) -> tuple[Neighbour, ...]:
    reference = bundle.reference
    rows, distances = reference.nearest(features, count)
    return tuple(
        Neighbour(
            distance=distance,
            label=label_value(bundle.manifest.spec, reference.y[row].item()),
            origin=int(reference.origin[row]),
            x=reference.x[row],
        )
        for row, distance in zip(rows.tolist(), distances.tolist(), strict=True)
    )
