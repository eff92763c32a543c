"""A record that is refused: the reason from the closed enum, and a detail that says what to send instead."""

from __future__ import annotations

import msgspec

from guard.errors import GuardError
from guard.verdict import RejectReason

__all__ = ["Fault", "Rejection", "shown"]

_ECHO = 60
"""Characters of hostile content that a message may repeat; with the marks around them it stays below 80."""


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why one record is malformed. `id` and `source` are those of the record where they could be read."""

    reason: RejectReason
    detail: str
    id: str | None = None
    source: str | None = None


class Fault(GuardError):
    """Raised where a record is found to be wrong; ends as a `Rejection`, never as a traceback."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def shown(content: object) -> str:
    """Hostile content for a message: quoted, control characters escaped, cut to a bounded length."""
    if isinstance(content, int) and not isinstance(content, bool) and content.bit_length() > 128:
        return f"an integer of {content.bit_length()} bits"
    text = repr(content[:_ECHO] if isinstance(content, str) else content)
    cut = len(text) > _ECHO or (isinstance(content, str) and len(content) > _ECHO)
    return f"{text[:_ECHO]}…" if cut else text
