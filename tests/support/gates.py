"""Audits, comparisons and gates for tests, about whatever bundle a test has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from guard.gate import AuditBound, Comparison, Figure, Gate, close_gate, write_gate
from guard.store import read_files

TIME = "2026-01-01T00:00:00Z"


def make_audit(snapshot_digest: str, **fields: Any) -> AuditBound:
    """An audit of 400 rows among 5000, none of them poison; `fields` replace."""
    own = {
        "snapshot_digest": snapshot_digest,
        "rows": 5000,
        "drawn": 400,
        "poison": 0,
        "undecided": 0,
        "confidence": 0.95,
        "reviewers": ("ada",),
        "time": TIME,
        "sample_digest": "1" * 64,
        "decisions_digest": "2" * 64,
    }
    return AuditBound.counted(**own | fields)


def make_comparison(champion: str, challenger: str, *reasons: str) -> Comparison:
    """A comparison that passes where there are no `reasons`."""
    figures = (Figure(name="recall", champion=0.9, challenger=0.91, outcome="better", must_hold=True),)
    return Comparison(
        champion_digest=champion,
        challenger_digest=challenger,
        held_out_digest="3" * 64,
        figures=figures,
        passed=not reasons,
        reasons=reasons,
        time=TIME,
    )


def make_gate(bundle: Path, champion: str | None = None, **audit: Any) -> Gate:
    """A gate for `bundle`, compared with the bundle of the digest `champion`, or with none."""
    stored = read_files(bundle)
    comparison = None if champion is None else make_comparison(champion, stored.digest)
    snapshot = stored.manifest.snapshot_digest
    return close_gate(stored.digest, snapshot, audit=make_audit(snapshot, **audit), comparison=comparison)


def write_gate_for(bundle: Path, path: Path, champion: str | None = None, **audit: Any) -> Path:
    """`make_gate` in the file `path`."""
    write_gate(path, make_gate(bundle, champion, **audit))
    return path
