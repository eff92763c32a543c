"""The audit gate against boiling the frog: a random sample of what is new, checked by a person, bounds its poison.

Which rows are drawn follows from the digest of the candidate's snapshot and from nothing else: the order of the new
rows is fixed by it, and a draw takes the first n. Nobody can draw again until the sample looks good, and no sender can
know what will be drawn, because the digest depends on every row of everybody. One size is allowed for each candidate:
who looks at a sample and then takes a larger one has more than one chance, and the bound would not hold.

Of n rows drawn without replacement k are rejected or undecided. The bound is that of Clopper and Pearson for n draws
with replacement, which is never the smaller one (Hoeffding 1963 for the comparison; recalled, not read again). It holds
as far as the reviewer sees poison when he looks at it: where he misses a share e, divide it by 1 − e.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from guard.clopper_pearson import upper_bound
from guard.document import Document, Sha256, Time, read_document
from guard.errors import GateRefused, WrongUse
from guard.filter.sinks import QUARANTINE, VERDICTS
from guard.filter.summary import SUMMARY
from guard.filter.verdicts import VerdictWriter
from guard.folder import new_folder, require_free
from guard.gate import AuditBound
from guard.review.decision import Action
from guard.review.desk import Desk
from guard.review.folder import DECISIONS
from guard.review.opening import with_quarantine
from guard.review.quarantine import Quarantine, unknown_decisions
from guard.rfc3339 import now_text
from guard.sample import encode_samples
from guard.verdict import Status, Verdict
from guard.whole_file import write_whole
from training.retrain.candidate import Candidate, read_candidate

__all__ = ["AUDIT", "Bounded", "Draw", "bound_audit", "draw_audit", "draw_order", "rows_for", "whole_bound"]

AUDIT = "audit.json"
"""What was drawn, in the folder of the sample."""

_DRAWS = "draws.jsonl"
_MOST_ROWS = 1 << 24


class Draw(Document):
    """`audit.json`: a sample of the new rows of a candidate.

    `candidate`: where it lies, relative to the folder of the sample. `sample_digest`: SHA-256 of the drawn records.
    `poison_share`, `confidence`: what the policy asks for.
    """

    candidate: str
    snapshot_digest: Sha256
    trusted_rows: int = Field(ge=1)
    new_rows: int = Field(ge=1)
    drawn: int = Field(ge=1)
    poison_share: float
    confidence: float
    sample_digest: Sha256
    time: Time


@dataclass(frozen=True)
class Bounded:
    """A bound, the draw behind it, the `limit` of the candidate's policy, and the bound on all rows.

    `whole`: of all rows, if the trusted ones are clean.
    """

    bound: AuditBound
    draw: Draw
    limit: float
    whole: float

    @property
    def met(self) -> bool:
        """Whether the policy allows it."""
        return self.bound.upper_bound <= self.limit


def draw_order(digest: str, rows: int) -> NDArray[np.int64]:
    """The order in which `rows` new rows are drawn from the snapshot of this digest, (rows,)."""
    seed = hashlib.sha256(f"audit of {digest}".encode()).digest()
    return np.random.default_rng(np.frombuffer(seed, np.uint32)).permutation(rows)


def rows_for(poison_share: float, confidence: float, found: int = 0) -> int:
    """How many rows must be drawn for an upper bound of `poison_share` where `found` of them are poison.

    With none found ⌈log(1 − confidence) / log(1 − poison_share)⌉. Raises WrongUse where it would be more than 2²⁴.
    """
    low, high = found, found + 1
    while upper_bound(found, high, 1 - confidence) > poison_share:
        low, high = high, 2 * high
        if high > _MOST_ROWS:
            raise WrongUse(f"a bound of {poison_share:g} takes more than {_MOST_ROWS:,} rows; ask for less")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if upper_bound(found, middle, 1 - confidence) > poison_share else (low, middle)
    return high


def whole_bound(upper: float, new_rows: int, trusted_rows: int) -> float:
    """The bound on the share of poison among all rows, if there is none among the trusted ones."""
    return upper * new_rows / (new_rows + trusted_rows)


def draw_audit(folder: Path, out: Path, size: int | None = None) -> Draw:
    """Draws `size` new rows of the candidate in `folder` into the folder `out`, which review commands open.

    None: as many as the policy's limit needs when none is poison. Raises WrongUse for more rows than are new, and for
    another size than this candidate was drawn with before; SnapshotRefused, OutputFailed.
    """
    candidate = read_candidate(folder)
    wanted = _wanted(candidate, size)
    _refuse_another_size(folder, candidate, wanted)
    require_free(out)
    sample, verdicts = _sample(candidate, wanted)
    limits = candidate.policy.policy.audit
    draw = Draw(
        candidate=os.path.relpath(folder.resolve(), out.resolve()),
        snapshot_digest=candidate.snapshot.digest,
        trusted_rows=candidate.card.trusted_rows,
        new_rows=candidate.card.new_rows,
        drawn=wanted,
        poison_share=limits.poison_share,
        confidence=limits.confidence,
        sample_digest=hashlib.sha256(sample).hexdigest(),
        time=now_text(),
    )
    with new_folder(out) as draft:
        (draft / QUARANTINE).write_bytes(sample)
        (draft / VERDICTS).write_bytes(verdicts)
        (draft / SUMMARY).write_text(json.dumps(_summary(draw), indent=2) + "\n", encoding="utf-8")
        (draft / AUDIT).write_text(draw.model_dump_json(indent=2) + "\n", encoding="utf-8")
    _log(folder, draw)
    return draw


def bound_audit(out: Path, folder: Path | None = None) -> Bounded:
    """The bound from the decisions in the folder `out`; `folder`: its candidate, where that has been moved.

    Released: clean. Rejected: poison. Undecided counts as poison. Raises GateRefused where the sample is not what the
    candidate draws, where decisions are about rows that were not drawn or cannot be believed, and where there are none.
    """
    _, draw = read_document(out / AUDIT, Draw)
    candidate = read_candidate(folder or out / draw.candidate)
    _refuse_other_sample(out, draw, candidate)
    counts, reviewers = _decided(out)
    if not reviewers:
        raise GateRefused(f"{out}: nobody has decided about any of {draw.drawn} rows; open it with `depois review`")
    decisions, limits = (out / DECISIONS).read_bytes(), candidate.policy.policy.audit
    bound = AuditBound.counted(
        snapshot_digest=draw.snapshot_digest,
        rows=draw.new_rows,
        drawn=draw.drawn,
        poison=counts[Action.REJECTED],
        undecided=draw.drawn - counts.total(),
        confidence=limits.confidence,
        reviewers=tuple(reviewers),
        time=now_text(),
        sample_digest=draw.sample_digest,
        decisions_digest=hashlib.sha256(decisions).hexdigest(),
    )
    return Bounded(bound, draw, limits.poison_share, whole_bound(bound.upper_bound, draw.new_rows, draw.trusted_rows))


def _wanted(candidate: Candidate, size: int | None) -> int:
    rows, limits = candidate.card.new_rows, candidate.policy.policy.audit
    wanted = rows_for(limits.poison_share, limits.confidence) if size is None else size
    if wanted <= rows:
        return wanted
    if size is not None:
        raise WrongUse(f"{size} rows cannot be drawn: the candidate has {rows} new ones")
    best = upper_bound(0, rows, 1 - limits.confidence)
    raise WrongUse(
        f"a bound of {limits.poison_share:.3%} needs {wanted} rows even when none is poison, and the candidate has "
        f"{rows} new ones, which can show {best:.3%}; collect more records, or change the policy and name --size"
    )


def _refuse_another_size(folder: Path, candidate: Candidate, wanted: int) -> None:
    before = _sizes(folder, candidate.snapshot.digest) - {wanted}
    if before:
        raise WrongUse(
            f"{min(before)} rows of this candidate were drawn before, so that {wanted} would be a second chance; draw "
            f"--size {min(before)} again, or make another candidate"
        )


def _sizes(folder: Path, digest: str) -> set[int]:
    path = folder / _DRAWS
    if not path.exists():
        return set()
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {int(line["drawn"]) for line in found if line["snapshot_digest"] == digest}


def _log(folder: Path, draw: Draw) -> None:
    path = folder / _DRAWS
    before = path.read_bytes() if path.exists() else b""
    write_whole(path, before + draw.model_dump_json(exclude={"candidate"}).encode() + b"\n")


def _sample(candidate: Candidate, size: int) -> tuple[bytes, bytes]:
    """The drawn records in the order of the draw, and what stands in the place of verdicts about them."""
    snapshot, first = candidate.snapshot, candidate.card.trusted_rows
    chosen = draw_order(snapshot.digest, candidate.card.new_rows)[:size]
    told = [candidate.new[place] for place in chosen.tolist()]
    rows = first + chosen
    sources = [line.source or "unknown" for line in told]
    ids = [f"line {snapshot.origin[row]} of the ledger" for row in rows.tolist()]
    records = encode_samples(snapshot.spec, snapshot.x[rows], snapshot.y[rows], sources, ids)
    writer = VerdictWriter("", "", observe=False)
    verdicts = [
        writer.line(
            number,
            Verdict(Status.QUARANTINED, "audit", id=name, source=source, label=line.label),  # type: ignore[arg-type]
        )
        for number, (name, source, line) in enumerate(zip(ids, sources, told, strict=True), 1)
    ]
    return b"".join(line + b"\n" for line in records), b"".join(line + b"\n" for line in verdicts)


def _summary(draw: Draw) -> dict[str, Any]:
    title = f"{draw.drawn} of {draw.new_rows} new rows of a candidate, drawn to be audited"
    return {"complete": True, "mode": "audit", "samples": title, "records": draw.drawn}


def _refuse_other_sample(out: Path, draw: Draw, candidate: Candidate) -> None:
    if candidate.snapshot.digest != draw.snapshot_digest:
        raise GateRefused(f"{out}: it was drawn from another candidate; name its own with --candidate, or draw again")
    if not draw.drawn <= candidate.card.new_rows or draw.new_rows != candidate.card.new_rows:
        raise GateRefused(f"{out / AUDIT}: the counts are not those of the candidate; draw again")
    for name, right in zip((QUARANTINE, VERDICTS), _sample(candidate, draw.drawn), strict=True):
        try:
            agrees = (out / name).read_bytes() == right
        except OSError as error:
            raise GateRefused(f"{out / name} cannot be read ({error.strerror}); draw again") from error
        if not agrees:
            raise GateRefused(f"{out / name} is not what this candidate draws: the sample was edited; draw again")


def _decided(out: Path) -> tuple[Counter[Action], list[str]]:
    """How many rows are released and rejected, and by whom."""
    found: list[Desk] = []

    async def work(quarantine: Quarantine) -> None:
        desk = quarantine.desk
        if doubted := sum(desk.ledger.disbelieved.values()):
            kinds = ", ".join(sorted(desk.ledger.disbelieved))
            raise GateRefused(f"{out / DECISIONS}: {doubted} lines cannot be believed ({kinds}); decide again")
        if strangers := unknown_decisions(quarantine):
            raise GateRefused(f"{out / DECISIONS}: {strangers} decisions are about rows that were not drawn")
        found.append(desk)

    with_quarantine(None, out, work)
    desk = found[0]
    states = [desk.ledger.state(held.origin) for held in desk.queue]
    return Counter(state for state in states if state), sorted({one.reviewer for one in desk.ledger.log})
