"""One held record as a reviewer finds it: where it lies, what the guard said of it, and what it says of itself.

The value stays where it is; only what a queue is searched and sorted by is kept, about 1 KB a record.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from guard.review.decision import Place

__all__ = ["Claim", "Held", "HeldRecord", "label_text", "read_claim", "value_digest"]

_LONGEST = 256
"""Characters of a sender's text that are kept; the sample itself shows all of it."""


@dataclass(frozen=True, slots=True)
class Held:
    """One held record. `timestamp` (ms) is the record's own, −1 without one; `judged` in seconds, NaN where unknown.

    `p_value` is NaN where the sample was not scored. `size`: bytes of its value. Labels as text.
    """

    origin: str
    place: Place
    size: int
    value_sha256: str
    timestamp: int
    judged: float
    reason: str
    member: str
    p_value: float
    threshold: float
    suggested_label: str
    source: str
    label: str
    name: str
    model: str
    model_sha256: str

    @property
    def scored(self) -> bool:
        """Whether a p-value is known."""
        return not math.isnan(self.p_value)


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """The held record itself, byte for byte; `headers` with the guard's own, as they stand in quarantine."""

    held: Held
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


class Claim(msgspec.Struct, frozen=True, gc=False):
    """What a sample says of itself, as far as it can be read."""

    source: Any = None
    label: Any = None
    id: Any = None


_decode = msgspec.json.Decoder(Claim).decode


def read_claim(value: bytes) -> Claim:
    """Source, label and id of a sample; nothing where it is no JSON object."""
    try:
        return _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Claim()


def label_text(value: Any) -> str:
    """A label, source or id as text to search and show by; "" for none, cut to 256 characters."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:_LONGEST]


def value_digest(value: bytes) -> str:
    """SHA-256 of a value, in hexadecimal."""
    return hashlib.sha256(value).hexdigest()
