"""Why one sample is judged as it is: what each member says, and which trusted samples lie nearest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guard.bundle import Bundle
from guard.encoding import class_indices, label_value
from guard.verdict import Verdict

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
    """The verdict of one record and its grounds. A record that was not scored has no opinions and no neighbours.

    `x`: the encoded sample, None where the record is malformed or its label unknown; `suggested_label`: the label that
    the trusted data speak for, of a clean sample too.
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
    decoded = judge.decoder.decode([record])
    if not len(decoded.x) or verdict.p_value is None:
        return Explanation(verdict, decoded.x[0] if len(decoded.x) else None, None, (), ())
    found = judge.score(decoded.x, decoded.y)
    suggestion = label_value(judge.spec, found.suggestion[0].item())
    features = judge.runtime.run(["features"], decoded.x, decoded.y)[0][0]
    near = _neighbours(bundle, features, neighbours)
    return Explanation(verdict, decoded.x[0], suggestion, _opinions(bundle, found.scores, decoded.y), near)


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
