"""What speaks against a promotion, each by name."""

from __future__ import annotations

from guard.gate import Gate
from guard.manifest import Manifest
from guard.registry.versions import Candidate

__all__ = ["against_gate", "against_kind"]


def against_gate(gate: Gate, candidate: Candidate, serving: Candidate | None) -> tuple[str, ...]:
    """Why `gate` does not let `candidate` take the place of what is `serving`."""
    manifest, found = candidate.stored.manifest, list(gate.reasons)
    if gate.bundle_digest not in candidate.digests:
        found.append(f"the gate is about another bundle, {gate.bundle_digest[:12]}")
    if gate.snapshot_digest != manifest.snapshot_digest:
        found.append(f"the gate is about another snapshot, {gate.snapshot_digest[:12]}")
    if gate.audit is not None and manifest.audit not in (None, gate.audit):
        found.append("the bundle carries another audit than the gate")
    if serving is not None and gate.comparison is None:
        found.append("the bundle was compared with none; compare it with the one that serves")
    if serving is not None and gate.comparison is not None:
        champion = gate.comparison.champion_digest
        if champion != serving.stored.digest:
            found.append(
                f"it was compared with {champion[:12]}, but {serving.stored.digest[:12]} serves; compare again"
            )
    return tuple(found)


def against_kind(candidate: Manifest, serving: Manifest) -> tuple[str, ...]:
    """Why `candidate` is no successor of what is `serving`, however good it is."""
    found = []
    if candidate.name != serving.name:
        found.append(f"its name is {candidate.name}, and {serving.name} serves: a registry is for bundles of one name")
    if candidate.spec.samples != serving.spec.samples:
        found.append("it judges other samples than the bundle that serves; running guards will refuse it")
    return tuple(found)
