"""Which held records a command or page is about, as one value that can be shown, sent and applied to a queue."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Literal

from guard.errors import WrongUse
from guard.rfc3339 import is_rfc3339, seconds_of

__all__ = ["STATES", "Filter", "State", "parse_duration", "parse_time"]

State = Literal["undecided", "released", "rejected", "expired", "all"]
STATES: tuple[State, ...] = ("undecided", "released", "rejected", "expired", "all")
"""`expired`: gone before anybody decided."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhdw])", re.ASCII)


@dataclass(frozen=True)
class Filter:
    """Each field narrows the choice; None leaves it open. Texts must be equal; p-values and times are bounds.

    `since` and `until` are about when it was judged, in seconds since 1970; `expiring` seconds from now. A sample that
    was not scored has no p-value and no bound on p chooses it; a record without a time is chosen by no bound on time.
    """

    reason: str | None = None
    member: str | None = None
    source: str | None = None
    label: str | None = None
    suggested: str | None = None
    model: str | None = None
    min_p: float | None = None
    max_p: float | None = None
    since: float | None = None
    until: float | None = None
    expiring: float | None = None
    state: State = "undecided"

    def __post_init__(self) -> None:
        for name in ("min_p", "max_p"):
            bound = getattr(self, name)
            if bound is not None and not 0 <= bound <= 1:
                raise WrongUse(f"{name.replace('_', '-')} is {bound}; a p-value lies between 0 and 1")
        for name in ("since", "until", "expiring"):
            bound = getattr(self, name)
            if bound is not None and not math.isfinite(bound):
                raise WrongUse(
                    f"{name} is {bound}; write a time such as 2026-01-31T09:30:00Z, or a duration such as 2d"
                )
        if self.state not in STATES:
            raise WrongUse(f"state is {self.state!r}; it is one of {', '.join(STATES)}")

    @property
    def narrows(self) -> bool:
        """Whether it chooses by anything but the state."""
        return any(getattr(self, field.name) is not None for field in fields(self) if field.name != "state")


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `15m`, `12h`, `3d` or `2w`. Raises WrongUse."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise WrongUse(f"{text!r} is no duration; write a number and one of s, m, h, d, w, such as 12h")
    return float(found[1]) * _UNITS[found[2]]


def parse_time(text: str, now: float) -> float:
    """Seconds since 1970 of an RFC 3339 time, or of a duration before `now`. Raises WrongUse."""
    if is_rfc3339(text):
        return seconds_of(text)
    if _DURATION.fullmatch(text):
        return now - parse_duration(text)
    raise WrongUse(f"{text!r} is no time; write 2026-01-31T09:30:00Z, or how long ago, such as 12h or 3d")
