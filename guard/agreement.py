"""How two bundles judged the same records: what both held, and what only one of them did, in each direction."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from guard.document import Document, Sha256, Time, read_document
from guard.verdict import Status, Verdict

__all__ = ["Agreement", "agreement_of", "read_agreement"]

_Count = Annotated[int, Field(ge=0)]
_COUNTS = {
    (Status.CLEAN, Status.CLEAN): "both_passed",
    (Status.QUARANTINED, Status.QUARANTINED): "both_held",
    (Status.QUARANTINED, Status.CLEAN): "champion_only_held",
    (Status.CLEAN, Status.QUARANTINED): "challenger_only_held",
    (Status.MALFORMED, Status.MALFORMED): "both_malformed",
}


class Agreement(Document):
    """Champion and challenger on the same records.

    `malformed_for_one`: records that are samples for one of them only. `overlap`: of what at least one of them held,
    the share that both held, in [0, 1]; null where neither held anything. `failed_batches`, `skipped_records`: what the
    challenger could not judge, or was not shown because it was busy; they are in no other count. `since`, `until`: the
    first and the last batch, by the guard's clock; null where there was none.
    """

    format_version: Literal[1] = 1
    champion_digest: Sha256
    challenger_digest: Sha256
    since: Time | None = None
    until: Time | None = None
    records: _Count = 0
    both_passed: _Count = 0
    both_held: _Count = 0
    champion_only_held: _Count = 0
    challenger_only_held: _Count = 0
    both_malformed: _Count = 0
    malformed_for_one: _Count = 0
    overlap: Annotated[float, Field(ge=0, le=1)] | None = None
    failed_batches: _Count = 0
    skipped_records: _Count = 0

    @classmethod
    def counted(cls, **fields: Any) -> Self:
        """The agreement with `records` and `overlap` worked out from the counts; `fields` are the others."""
        counts = {name: fields.get(name, 0) for name in (*_COUNTS.values(), "malformed_for_one")}
        return cls(**fields, records=sum(counts.values()), overlap=_overlap(counts))

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        counts = {name: getattr(self, name) for name in (*_COUNTS.values(), "malformed_for_one")}
        if sum(counts.values()) != self.records:
            raise ValueError("the counts do not add up to records")
        if not math.isclose(_overlap(counts) or 0.0, self.overlap or 0.0, rel_tol=1e-9):
            raise ValueError("overlap does not follow from the counts")
        return self


def agreement_of(champion: Sequence[Verdict], challenger: Sequence[Verdict]) -> Counter[str]:
    """The counts of an `Agreement`, by name, of both verdicts on the same records."""
    pairs = Counter((a.status, b.status) for a, b in zip(champion, challenger, strict=True))
    found: Counter[str] = Counter()
    for pair, count in pairs.items():
        found[_COUNTS.get(pair, "malformed_for_one")] += count
    return found


def read_agreement(path: Path) -> Agreement:
    """The agreement in the file `path`, as a guard's `/shadow` gives it. Raises GateRefused."""
    return read_document(path, Agreement)[1]


def _overlap(counts: dict[str, int]) -> float | None:
    either = counts["both_held"] + counts["champion_only_held"] + counts["challenger_only_held"]
    return counts["both_held"] / either if either else None
