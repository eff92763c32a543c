"""The gate before a promotion: what the audit and the comparison found, by which limits, and for which bundle.

Three files, each bound to what it is about by digests: an audit says how much poison a snapshot can hold, a comparison
says whether a challenger is at least as good as the champion, and a gate judges both for one bundle. A gate is judged
again whenever it is read, and sealed: one that was edited, that is of another bundle, or that passes what its own
limits do not, is refused by name. The seal is no signature: whoever may write into a registry can promote what he
wants.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from guard.clopper_pearson import upper_bound
from guard.document import Document, Line, Sha256, Time, read_document
from guard.errors import GateRefused
from guard.whole_file import write_whole

__all__ = [
    "AuditBound",
    "Comparison",
    "Figure",
    "Gate",
    "Limits",
    "Outcome",
    "close_gate",
    "read_audit",
    "read_comparison",
    "read_gate",
    "write_gate",
]

Outcome = Literal["better", "worse", "same"]
"""What became of a figure, from the champion to the challenger."""

_Share = Annotated[float, Field(ge=0, le=1)]


class AuditBound(Document):
    """A person's check of a random sample of a snapshot, and the bound on its poison that follows.

    Of the snapshot's `rows`, `drawn` were drawn at random; `poison` of them were rejected, and `undecided` were not
    decided, which count as poison. `upper_bound`: the share u of poison with P(Binomial(drawn, u) ≤ poison + undecided)
    = 1 − `confidence`, as Clopper and Pearson have it. `sample_digest`, `decisions_digest`: SHA-256 of the drawn sample
    and of the log of decisions about it. `time` is for people.
    """

    format_version: Literal[1] = 1
    snapshot_digest: Sha256
    rows: int = Field(ge=1)
    drawn: int = Field(ge=1)
    poison: int = Field(ge=0)
    undecided: int = Field(ge=0)
    confidence: float = Field(ge=0.5, lt=1)
    upper_bound: _Share
    reviewers: tuple[Line, ...] = Field(min_length=1)
    time: Time
    sample_digest: Sha256
    decisions_digest: Sha256

    @classmethod
    def counted(cls, **fields: Any) -> Self:
        """The bound with `upper_bound` worked out from the counts; `fields` are all the others."""
        suspects = fields["poison"] + fields["undecided"]
        return cls(**fields, upper_bound=upper_bound(suspects, fields["drawn"], 1 - fields["confidence"]))

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        return (
            f"at most {self.upper_bound:.3%} of the snapshot is poison, with confidence {self.confidence:.4g}: "
            f"{self.poison} found and {self.undecided} undecided among {self.drawn} of {self.rows} rows, "
            f"by {', '.join(self.reviewers)}, {self.time}"
        )

    @model_validator(mode="after")
    def _follows_from_counts(self) -> Self:
        suspects = self.poison + self.undecided
        if not suspects <= self.drawn <= self.rows:
            raise ValueError("more rows were decided than drawn, or drawn than there are")
        bound = upper_bound(suspects, self.drawn, 1 - self.confidence)
        if not math.isclose(self.upper_bound, bound, rel_tol=1e-6):
            raise ValueError(f"upper_bound does not follow from the counts, which give {bound:.6g}")
        return self


class Figure(Document):
    """One figure of champion and challenger; null where one has none. `must_hold`: it may not get worse."""

    name: Line
    champion: float | None
    challenger: float | None
    outcome: Outcome
    must_hold: bool


class Comparison(Document):
    """Champion and challenger on the same data: what got better and worse, and whether the rule lets it pass.

    `held_out_digest`: SHA-256 of the trusted data that neither was trained on. `reasons`: why it does not pass; empty
    where it does. `time` is for people.
    """

    format_version: Literal[1] = 1
    champion_digest: Sha256
    challenger_digest: Sha256
    held_out_digest: Sha256
    figures: tuple[Figure, ...] = Field(min_length=1)
    passed: bool
    reasons: tuple[Line, ...]
    time: Time

    @model_validator(mode="after")
    def _agrees_with_figures(self) -> Self:
        names = Counter(figure.name for figure in self.figures)
        if len(names) != len(self.figures):
            raise ValueError("a figure stands twice")
        if self.passed == bool(self.reasons):
            raise ValueError("passed and reasons contradict each other")
        worse = [figure.name for figure in self.figures if figure.must_hold and figure.outcome == "worse"]
        if self.passed and worse:
            raise ValueError(f"it passes although {worse[0]}, which must hold, is worse")
        return self


class Limits(Document):
    """What the policy asks of an audit: `poison_share` is the largest bound, `confidence` the least at which it holds.

    The defaults are met by 299 rows drawn at random and not one of them poison.
    """

    poison_share: float = Field(0.01, gt=0, lt=1)
    confidence: float = Field(0.95, ge=0.5, lt=1)


class Gate(Document):
    """What a promotion needs: audit and comparison of one bundle, judged by `limits`. Make one with `close_gate`.

    `audit`: null where nobody audited the snapshot, which never passes; `comparison`: null where there was no champion.
    `reasons`: why it does not pass. `seal`: SHA-256 of all other entries as JSON with sorted keys and no spaces.
    """

    format_version: Literal[1] = 1
    bundle_digest: Sha256
    snapshot_digest: Sha256
    audit: AuditBound | None
    comparison: Comparison | None
    limits: Limits
    passed: bool
    reasons: tuple[Line, ...]
    seal: Sha256

    @model_validator(mode="after")
    def _follows_from_findings(self) -> Self:
        reasons = _objections(self.bundle_digest, self.snapshot_digest, self.audit, self.comparison, self.limits)
        if self.passed and reasons:
            raise ValueError(f"it passes although {reasons[0]}")
        if self.passed == bool(self.reasons):
            raise ValueError("passed and reasons contradict each other")
        return self


def close_gate(
    bundle_digest: str,
    snapshot_digest: str,
    *,
    audit: AuditBound | None,
    comparison: Comparison | None,
    limits: Limits | None = None,
) -> Gate:
    """Judges what was found about the bundle of `bundle_digest`, trained on the snapshot of `snapshot_digest`.

    `limits`: those of `Limits()` where None. Raises ValueError for a digest that is none.
    """
    limits = limits or Limits()
    reasons = _objections(bundle_digest, snapshot_digest, audit, comparison, limits)
    fields: dict[str, Any] = {
        "bundle_digest": bundle_digest,
        "snapshot_digest": snapshot_digest,
        "audit": audit,
        "comparison": comparison,
        "limits": limits,
        "passed": not reasons,
        "reasons": reasons,
    }
    unsealed = Gate(**fields, seal="0" * 64)
    return Gate(**fields, seal=_seal(unsealed.model_dump(mode="json")))


def read_gate(path: Path) -> Gate:
    """The gate in the file `path`, judged again. Raises GateRefused."""
    document, gate = read_document(path, Gate)
    if gate.seal != _seal(document):
        raise GateRefused(
            f"{path}: seal: the gate was edited after it was made; make it again, or promote with --force --reason"
        )
    return gate


def read_audit(path: Path) -> AuditBound:
    """The result of an audit in the file `path`. Raises GateRefused."""
    return read_document(path, AuditBound)[1]


def read_comparison(path: Path) -> Comparison:
    """The comparison in the file `path`. Raises GateRefused."""
    return read_document(path, Comparison)[1]


def write_gate(path: Path, gate: Gate) -> None:
    """Writes `gate` in place of the file `path`, whole or not at all. Raises OutputFailed."""
    write_whole(path, gate.model_dump_json(indent=2).encode() + b"\n")


def _objections(
    bundle: str, snapshot: str, audit: AuditBound | None, comparison: Comparison | None, limits: Limits
) -> tuple[str, ...]:
    found = [*_against_audit(audit, snapshot, limits)]
    if comparison is not None and comparison.challenger_digest != bundle:
        found.append(f"the comparison is about another bundle, {comparison.challenger_digest[:12]}")
    if comparison is not None:
        found += [f"the comparison does not pass: {reason}"[:1000] for reason in comparison.reasons]
    return tuple(found)


def _against_audit(audit: AuditBound | None, snapshot: str, limits: Limits) -> list[str]:
    if audit is None:
        return ["nobody audited the snapshot that the bundle was trained on"]
    found = []
    if audit.snapshot_digest != snapshot:
        found.append(f"the audit is about another snapshot, {audit.snapshot_digest[:12]}")
    if audit.confidence < limits.confidence:
        found.append(f"the audit's bound holds at {audit.confidence:.4g}, but {limits.confidence:.4g} is asked for")
    if audit.upper_bound > limits.poison_share:
        found.append(
            f"up to {audit.upper_bound:.3%} of the snapshot may be poison ({audit.poison} found and {audit.undecided} "
            f"undecided among {audit.drawn} drawn), but at most {limits.poison_share:.3%} may be"
        )
    return found


def _seal(document: dict[str, Any]) -> str:
    """Over the JSON itself and not the model: a later version with more entries leaves older seals as they are."""
    rest = {name: value for name, value in document.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
