"""What the page asks, checked: which records, from which place on, and what is decided about them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

import msgspec
from starlette.requests import Request

from guard.errors import WrongUse
from guard.review.decision import Action
from guard.review.filters import Filter, parse_duration, parse_time
from guard.review.queue import GROUPS, Order

__all__ = ["Decide", "Question", "asked_filter", "parse_decide", "whole"]

_TEXTS = ("reason", "member", "source", "label", "suggested", "model", "state")
_BODY_BYTES = 64 << 10


class Decide(msgspec.Struct, forbid_unknown_fields=True):
    """One record by its origin, or all that a filter chooses, of which the page counted so many."""

    action: Action
    why: str
    origin: str | None = None
    filter: dict[str, str] | None = None
    count: int | None = None


@dataclass(frozen=True)
class Question:
    """Which records, in which order or by what counted, from the `first` on."""

    chosen: Filter
    order: Order
    by: str
    first: int

    @staticmethod
    def of(request: Request) -> Question:
        """Raises WrongUse for what cannot be meant."""
        asked = dict(request.query_params)
        order, by = asked.pop("order", "suspicion"), asked.pop("by", "source")
        first = whole(asked.pop("first", "0"))
        if order not in get_args(Order):
            raise WrongUse(f"order is one of {', '.join(get_args(Order))}")
        if by not in GROUPS:
            raise WrongUse(f"records are counted by one of {', '.join(GROUPS)}")
        return Question(asked_filter(asked), cast("Order", order), by, first)


def asked_filter(asked: Mapping[str, str]) -> Filter:
    """The filter that the page's fields say; an empty text chooses records without one. Raises WrongUse."""
    said, now = dict(asked), time.time()
    found: dict[str, Any] = {name: said.pop(name) for name in _TEXTS if name in said}
    try:
        found |= {name: float(said.pop(name)) for name in ("min_p", "max_p") if name in said}
    except ValueError as error:
        raise WrongUse("a p-value is a number between 0 and 1") from error
    found |= {name: parse_time(said.pop(name), now) for name in ("since", "until") if name in said}
    if "expiring" in said:
        found["expiring"] = parse_duration(said.pop("expiring"))
    if said:
        raise WrongUse(f"there is no filter {next(iter(said))[:50]!r}")
    return Filter(**found)


async def parse_decide(request: Request) -> Decide:
    """What the body of a request decides. Raises WrongUse."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _BODY_BYTES:
            raise WrongUse(f"a decision takes at most {_BODY_BYTES} bytes")
    try:
        return msgspec.json.decode(body, type=Decide)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WrongUse(f"this is no decision: {error}") from error


def whole(text: str) -> int:
    """A number of a row. Raises WrongUse."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise WrongUse("a number of a row is a whole number")
    return int(text)
