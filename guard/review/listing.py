"""A held record as one row: what commands print as JSON and what the page lists."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from guard.review.held import Held
from guard.review.quarantine import Quarantine
from guard.rfc3339 import time_text

__all__ = ["as_row", "expiry"]


def as_row(quarantine: Quarantine, held: Held) -> dict[str, Any]:
    """One record with its state, its last decision, and when it may be gone; None for a number that is not known."""
    latest = quarantine.desk.ledger.latest(held.origin)
    row = {name: getattr(held, name) for name in Held.__slots__ if name != "place"}
    numbers = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
    return {
        **numbers,
        "judged": time_text(held.judged),
        "place": msgspec.to_builtins(held.place),
        "state": str(quarantine.desk.ledger.state(held.origin) or "undecided"),
        "disputed": held.origin in quarantine.desk.queue.disputed,
        "expires_not_before": time_text(expiry(quarantine, held)),
        "decision": None if latest is None else msgspec.to_builtins(latest),
    }


def expiry(quarantine: Quarantine, held: Held) -> float:
    """When it may be gone, in seconds since 1970; NaN where it stays, or that is not known."""
    kept = quarantine.retention.seconds
    return held.timestamp / 1000 + kept if held.timestamp >= 0 and math.isfinite(kept) else math.nan
