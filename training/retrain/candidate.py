"""A candidate snapshot on disk: the trusted rows, the new ones behind them, and a ledger of every considered record.

The folder holds `snapshot/` (as `depois snapshot` writes it), `ledger.jsonl` (one line per considered record),
`diff.json`, `policy.toml` (the policy, byte for byte) and `candidate.json`, which binds them by digests. In the
snapshot, `origin` of a new row is its line of the ledger.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from pydantic import Field

from guard.document import Document, Sha256, Time, read_document
from guard.errors import SnapshotRefused
from guard.folder import new_folder, require_free
from guard.rfc3339 import time_text
from training.retrain.intake import Intake
from training.retrain.policy import WrittenPolicy, read_policy
from training.retrain.selection import Left, Selection, select
from training.retrain.shift import Shift, measure_shift
from training.snapshot import Snapshot, read_snapshot, snapshot_from_arrays, write_snapshot

__all__ = [
    "SNAPSHOT",
    "Candidate",
    "CandidateCard",
    "LedgerLine",
    "Made",
    "join_rows",
    "make_candidate",
    "read_candidate",
]

SNAPSHOT = "snapshot"

_CARD, _LEDGER, _DIFF, _POLICY = "candidate.json", "ledger.jsonl", "diff.json", "policy.toml"
_AGAIN = "make the candidate again with `depois retrain`"


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """One considered record. `reason`: why it was not taken, null where it was; `time`: RFC 3339, null if unknown."""

    origin: str
    source: str | None
    label: str | int | float | None
    id: str | None
    time: str | None
    released: bool
    taken: bool
    reason: Left | None
    detail: str | None


class CandidateCard(Document):
    """`candidate.json`. `inputs`: records by where they came from; `left`: records that were not taken, by reason."""

    format_version: Literal[1] = 1
    trusted_digest: Sha256
    snapshot_digest: Sha256
    trusted_rows: int = Field(ge=1)
    new_rows: int = Field(ge=1)
    policy_sha256: Sha256
    ledger_sha256: Sha256
    seed: int
    made: Time
    inputs: dict[str, int]
    left: dict[str, int]


@dataclass(frozen=True)
class Candidate:
    """A candidate whose parts agree. `new`: the ledger's lines of the new rows, in the order of the snapshot."""

    card: CandidateCard
    snapshot: Snapshot
    policy: WrittenPolicy
    new: list[LedgerLine]


@dataclass(frozen=True)
class Made:
    """A candidate that was just written, and by how much it differs from the trusted snapshot."""

    card: CandidateCard
    snapshot: Snapshot
    shift: Shift


def make_candidate(
    trusted: Snapshot, intake: Intake, policy: WrittenPolicy, out: Path, *, now: float, seed: int = 0
) -> Made:
    """Selects, and writes the folder `out`, whole or not at all.

    `now`: seconds since 1970, from which ages count; `seed`: the order in which records are considered. The same
    snapshot, records, policy, `now` and `seed` make the same snapshot and ledger. Raises SnapshotRefused when no record
    passes the policy, OutputFailed.
    """
    require_free(out)
    selection = select(intake, trusted, policy.policy, now=now, seed=seed)
    _require_some(selection)
    snapshot = join_rows(trusted, intake, selection, policy.sha256)
    ledger = b"".join(msgspec.json.encode(line) + b"\n" for line in _ledger(intake, selection))
    card = CandidateCard(
        trusted_digest=trusted.digest,
        snapshot_digest=snapshot.digest,
        trusted_rows=len(trusted.y),
        new_rows=len(selection.taken),
        policy_sha256=policy.sha256,
        ledger_sha256=hashlib.sha256(ledger).hexdigest(),
        seed=seed,
        made=str(time_text(now)),
        inputs=intake.inputs,
        left=_counted(selection.left),
    )
    shift = measure_shift(trusted, snapshot, intake, selection)
    with new_folder(out) as draft:
        write_snapshot(snapshot, draft / SNAPSHOT)
        (draft / _LEDGER).write_bytes(ledger)
        (draft / _DIFF).write_text(shift.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (draft / _POLICY).write_bytes(policy.text)
        (draft / _CARD).write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Made(card, snapshot, shift)


def read_candidate(folder: Path) -> Candidate:
    """Reads a candidate and holds its parts against each other.

    Raises SnapshotRefused, naming what was changed or is missing.
    """
    if not (folder / _CARD).is_file():
        raise SnapshotRefused(f"{folder}: there is no {_CARD}; name a folder that `depois retrain` wrote")
    _, card = read_document(folder / _CARD, CandidateCard, SnapshotRefused)
    snapshot, policy = read_snapshot(folder / SNAPSHOT), read_policy(folder / _POLICY)
    ledger = _read_ledger(folder / _LEDGER, card)
    agreements = {
        f"{SNAPSHOT}/ is not the snapshot": snapshot.digest == card.snapshot_digest,
        f"{SNAPSHOT}/ has not the rows": len(snapshot.y) == card.trusted_rows + card.new_rows,
        f"{_POLICY} is not the policy": policy.sha256 == card.policy_sha256,
    }
    for fault, agrees in agreements.items():
        if not agrees:
            raise SnapshotRefused(f"{folder}: {fault} that {_CARD} names; {_AGAIN}")
    places = snapshot.origin[card.trusted_rows :]
    if (places > len(ledger)).any() or [
        number for number, line in enumerate(ledger, 1) if line.taken
    ] != places.tolist():
        raise SnapshotRefused(f"{folder}: the new rows are not those that {_LEDGER} takes; {_AGAIN}")
    return Candidate(card, snapshot, policy, [ledger[place - 1] for place in places.tolist()])


def _require_some(selection: Selection) -> None:
    if not len(selection.taken):
        why = ", ".join(f"{count} {reason}" for reason, count in _counted(selection.left).items()) or "there are none"
        raise SnapshotRefused(
            f"not one of {len(selection.left)} records passes the policy ({why}); nothing was written. Loosen the "
            "policy, or name more records."
        )


def join_rows(trusted: Snapshot, intake: Intake, selection: Selection, policy_sha256: str) -> Snapshot:
    """The `trusted` rows with the taken ones behind them. Raises SnapshotRefused."""
    taken = selection.taken
    lines = intake.sound[taken] + 1
    provenance = {
        **trusted.provenance,
        "retrained_from": trusted.digest,
        "trusted_rows": str(len(trusted.y)),
        "new_rows": str(len(taken)),
        "policy_sha256": policy_sha256,
        "inputs": "; ".join(f"{title}: {count}" for title, count in intake.inputs.items()),
    }
    return snapshot_from_arrays(
        np.concatenate([trusted.x, intake.x[taken]]),
        np.concatenate([trusted.y, intake.y[taken]]),
        trusted.spec,
        provenance,
        seed=_seed(trusted),
        origin=np.concatenate([trusted.origin, lines]),
    )


def _seed(trusted: Snapshot) -> int:
    """The seed of its split: rows stay in their folds as far as they can."""
    said = trusted.provenance.get("seed", "0")
    return int(said) if said.lstrip("-").isdigit() else 0


def _ledger(intake: Intake, selection: Selection) -> list[LedgerLine]:
    return [
        LedgerLine(
            origin=one.origin,
            source=one.source,
            label=one.label,
            id=one.id,
            time=time_text(one.time),
            released=one.released,
            taken=reason is None,
            reason=reason,
            detail=one.fault,
        )
        for one, reason in zip(intake.told, selection.left, strict=True)
    ]


def _counted(left: Sequence[Left | None]) -> dict[str, int]:
    return {str(reason): count for reason, count in Counter(left).most_common() if reason is not None}


def _read_ledger(path: Path, card: CandidateCard) -> list[LedgerLine]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SnapshotRefused(f"{path} cannot be read ({error.strerror}); {_AGAIN}") from error
    if hashlib.sha256(data).hexdigest() != card.ledger_sha256:
        raise SnapshotRefused(f"{path} is not the ledger that {_CARD} names; {_AGAIN}")
    decode = msgspec.json.Decoder(LedgerLine).decode
    return [decode(line) for line in data.splitlines()]
