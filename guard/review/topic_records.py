"""Held records as they lie in a quarantine topic: read strictly, and written to the clean topic as they once came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from guard.review.decision import Decision, Place
from guard.review.held import Held, HeldRecord, label_text, read_claim, value_digest
from guard.rfc3339 import seconds_of
from guard.stream.dedupe import Origin
from guard.stream.headers import (
    CONNECT,
    DECISION,
    DECISION_TIME,
    MEMBER,
    MODEL,
    MODEL_SHA256,
    ORIGIN,
    REASON,
    REVIEWER,
    SCORE,
    SUGGESTED_LABEL,
    THRESHOLD,
    TIME,
    VERDICT,
    Header,
)
from guard.verdict import HoldReason, Status

__all__ = ["read_held", "released_headers"]

_OWN = "guard-"
_REASONS = frozenset(str(reason) for reason in HoldReason)


def read_held(record: Any) -> HeldRecord | None:
    """A record of the topic, as aiokafka gives it; None where no guard wrote it, or not there."""
    said = _own_headers(record.headers)
    if said is None or record.value is None:
        return None
    origin = Origin.parse(said.get(ORIGIN))
    if origin is None or origin.partition != record.partition:
        return None
    if said.get(VERDICT) != Status.QUARANTINED or said.get(REASON) not in _REASONS:
        return None
    held = _held(record, "/".join(map(str, origin)), said)
    return HeldRecord(held, record.key, record.value, list(record.headers))


def released_headers(record: HeldRecord, decision: Decision) -> list[Header]:
    """The headers of a released record: the sender's in their order, then the guard's with the reviewer's decision.

    What the guard said stays as it was, but for the verdict. Kafka Connect's names for an error go.
    """
    kept = [(name, value) for name, value in record.headers if not _is(name, CONNECT) and name != VERDICT]
    return [
        *kept,
        (VERDICT, Status.RELEASED.encode()),
        (REVIEWER, decision.reviewer.encode()),
        (DECISION, decision.id.encode()),
        (DECISION_TIME, decision.time.encode()),
    ]


def _is(name: str, prefix: str) -> bool:
    return name.lower().startswith(prefix)


def _own_headers(headers: Sequence[Header]) -> dict[str, str] | None:
    """The guard's headers as text; None where one stands twice or is no text, which no guard writes."""
    found: dict[str, str] = {}
    for name, value in headers:
        if not _is(name, _OWN):
            continue
        if value is None or name in found:
            return None
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            return None
    return found


def _held(record: Any, origin: str, said: dict[str, str]) -> Held:
    claim = read_claim(record.value)
    return Held(
        origin=origin,
        place=Place(record.topic, record.partition, record.offset),
        size=len(record.value),
        value_sha256=value_digest(record.value),
        timestamp=record.timestamp,
        judged=seconds_of(said.get(TIME, "")),
        reason=said[REASON],
        member=said.get(MEMBER, ""),
        p_value=_number(said.get(SCORE, "")),
        threshold=_number(said.get(THRESHOLD, "")),
        suggested_label=said.get(SUGGESTED_LABEL, ""),
        source=label_text(claim.source),
        label=label_text(claim.label),
        name=label_text(claim.id),
        model=said.get(MODEL, ""),
        model_sha256=said.get(MODEL_SHA256, ""),
    )


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return math.nan
    return found if 0.0 <= found <= 1.0 else math.nan
