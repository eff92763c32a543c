"""From learned members to the parts of a bundle: the graph, its calibration, golden vectors and reference rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from guard.calibration import Calibration, Fusion, fuse
from guard.encoding import class_indices
from guard.errors import BundleRefused, TrainingFailed
from guard.golden import Golden, replay
from guard.manifest import MemberCard
from guard.reference import Reference
from guard.runtime import Runtime
from training.export import check_parity, export_graph, score_with_torch
from training.golden import golden_samples, reference_rows
from training.graph import GuardGraph
from training.learn import Learned
from training.snapshot import Snapshot

__all__ = ["Parts", "assemble", "calibrate", "member_cards"]

_MIMIC = "mimic"
_SPREADS = "gp"
_NO_BOUNDARY = (0.0, 0.0, -1.96)
_BATCH = 512


@dataclass(frozen=True)
class Parts:
    """The parts of a bundle that the guard will load, proven against each other."""

    model: bytes
    golden: Golden
    reference: Reference


def member_cards(learned: Learned) -> tuple[MemberCard, ...]:
    """The members as the manifest names them; weights are relative, so the largest becomes 1."""
    spec, rows = learned.data.spec, len(learned.data.y)
    spread = any(member.name == _SPREADS and fitted.stream and fitted.stream.kept for member, fitted in learned.members)
    weights = [member.weight(spec, rows) * (member.beside_spread if spread else 1) for member, _ in learned.members]
    return tuple(
        MemberCard(
            name=member.name,
            description=member.description,
            weight=weight / max(weights),
            blind_to=member.blind_to,
        )
        for (member, _), weight in zip(learned.members, weights, strict=True)
    )


def calibrate(learned: Learned, snapshot: Snapshot, alpha: float) -> tuple[Calibration, Fusion]:
    """The calibration arrays of a bundle, and their fusion at α."""
    boundary = next((fitted.boundary for _, fitted in learned.members if fitted.boundary), _NO_BOUNDARY)
    cards = member_cards(learned)
    calibration = Calibration(
        scores=np.stack([fitted.calibration for _, fitted in learned.members], axis=1),
        labels=class_indices(snapshot.y[learned.data.plan.calibration]),
        weights=np.array([card.weight for card in cards]),
        boundary=np.array(boundary),
    )
    mimic = [index for index, card in enumerate(cards) if card.name == _MIMIC]
    return calibration, fuse(calibration, alpha, mimic=mimic[0] if mimic else None)


def assemble(learned: Learned, snapshot: Snapshot, calibration: Calibration, fusion: Fusion) -> Parts:
    """Exports the graph, and proves that it says what the networks say and that no verdict changes.

    The networks are moved to the CPU. Raises TrainingFailed when the exported graph differs.
    """
    rng = np.random.default_rng(learned.data.seed)
    scorers = [fitted.scorer for _, fitted in learned.members]
    graph = GuardGraph(learned.preprocess, learned.labels, scorers, _suggest(learned))
    model = export_graph(graph, snapshot.x, snapshot.y)
    x, y = golden_samples(snapshot, rng)
    check_parity(model, graph, x, y, calibration.scale)
    runtime = Runtime(model)
    golden = Golden.judged(fusion, x, y, _run(runtime, "scores", x, y))
    _check_verdicts(graph, golden, calibration, fusion)
    return Parts(model, golden, _reference(runtime, snapshot, rng))


def _suggest(learned: Learned) -> nn.Module:
    """The first member that suggests labels speaks for all; the list of members begins with the surest."""
    found = next((fitted.suggest for _, fitted in learned.members if fitted.suggest is not None), None)
    if found is None:
        raise TrainingFailed(
            "no member suggests labels for this task; training.members.MEMBERS must name one that does"
        )
    return found


def _check_verdicts(graph: GuardGraph, golden: Golden, calibration: Calibration, fusion: Fusion) -> None:
    scores = score_with_torch(graph, golden.x, golden.y)["scores"]
    try:
        replay(golden, scores, calibration, fusion)
    except BundleRefused as differs:
        raise TrainingFailed(
            f"the network and the exported graph disagree, nothing was written. {differs}"
        ) from differs


def _reference(runtime: Runtime, snapshot: Snapshot, rng: np.random.Generator) -> Reference:
    rows = reference_rows(snapshot, rng)
    x, y = snapshot.x[rows], snapshot.y[rows]
    return Reference(x, y, snapshot.origin[rows], _run(runtime, "features", x, y))


def _run(runtime: Runtime, output: str, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    parts = [runtime.run([output], x[i : i + _BATCH], y[i : i + _BATCH])[0] for i in range(0, len(x), _BATCH)]
    return np.concatenate(parts)
