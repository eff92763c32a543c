"""Times as text: RFC 3339 with seconds and a time zone, the one form in records, documents and ledgers."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

__all__ = ["is_rfc3339", "now_text", "seconds_of", "time_text"]

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def is_rfc3339(text: str) -> bool:
    """True for a date and time with seconds and a time zone, such as `2026-01-31T09:30:00Z`. No leap seconds."""
    return not math.isnan(seconds_of(text))


def seconds_of(text: str | None) -> float:
    """Seconds since 1970; NaN for what is no such time."""
    if text is None or not _RFC3339.fullmatch(text):
        return math.nan
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        return math.nan


def time_text(seconds: float) -> str | None:
    """To the second, in UTC; None for what is no time."""
    try:
        return _utc(datetime.fromtimestamp(seconds, UTC), "seconds")
    except (ValueError, OverflowError, OSError):
        return None


def now_text() -> str:
    """The present moment by this machine's clock, to the millisecond."""
    return _utc(datetime.now(UTC), "milliseconds")


def _utc(moment: datetime, precision: str) -> str:
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
