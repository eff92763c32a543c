"""A reviewer's decision about one held record: as it is written, and what it must carry to be believed.

A decision is a JSON object under the key `guard-origin`, in a compacted topic or as a line of `decisions.jsonl`.
Whoever may write there can write a decision, so that right is for reviewers alone. What is read is checked all the
same: every field, the key against the origin, the place against the origin's partition, the digest against the held
record, and the step against the decision before it. A decision that fails is counted and never acted upon. A forged one
can at most hide a held record from the queue; it cannot make one pass, because releasing means writing to the clean
topic, which is a right of its own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from guard.errors import WrongUse
from guard.rfc3339 import is_rfc3339
from guard.terminal import printable

__all__ = [
    "DECISION_BYTES",
    "REVIEWER_LENGTH",
    "WHY_LENGTH",
    "Action",
    "Decision",
    "Disbelief",
    "Disbelieved",
    "Place",
    "checked_words",
    "encode_decision",
    "new_id",
    "parse_decision",
]

REVIEWER_LENGTH = 128
WHY_LENGTH = 1000

DECISION_BYTES = 16 << 10
"""More than the longest decision in escaped JSON takes; whatever is longer is none, and is not parsed."""

_ORIGIN = re.compile(r"[A-Za-z0-9._-]{1,249}/[A-Za-z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}", re.ASCII)


class Action(StrEnum):
    """What was decided. `REOPENED` takes a rejection back; a release is final: the record has been passed on."""

    RELEASED = "released"
    REJECTED = "rejected"
    REOPENED = "reopened"


class Disbelief(StrEnum):
    """Why something that stands among the decisions is not believed."""

    NO_DECISION = "no_decision"
    WRONG_KEY = "wrong_key"
    WRONG_PLACE = "wrong_place"
    OTHER_RECORD = "other_record"
    IMPOSSIBLE_STEP = "impossible_step"
    DELETED = "deleted"


class Disbelieved(ValueError):
    """What was read is no decision that can be believed; `kind` says why."""

    def __init__(self, kind: Disbelief) -> None:
        super().__init__(str(kind))
        self.kind = kind


_Count = Annotated[int, msgspec.Meta(ge=0)]
_Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """Where a record lies: an offset in a partition of a topic, or the byte at which its line starts in a file."""

    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=249)]
    partition: _Count
    offset: _Count


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision about the held record `origin`.

    `reviewer`, `time` (RFC 3339, the reviewer's clock) and `why` are for people: order is that of the topic or file, so
    a clock that jumps changes nothing. `held` is where the record lay, `value_sha256` what it held; `released` is where
    a released record was written to. `supersedes` is the id of the decision before it about the same record, or null.
    """

    format: Literal[1]
    id: _Id
    origin: Annotated[str, msgspec.Meta(max_length=600)]
    action: Action
    reviewer: Annotated[str, msgspec.Meta(min_length=1, max_length=REVIEWER_LENGTH)]
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=WHY_LENGTH)]
    time: Annotated[str, msgspec.Meta(max_length=40)]
    held: Place
    value_sha256: _Sha256
    released: Place | None
    supersedes: _Id | None


_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], Decision] = msgspec.json.Decoder(Decision).decode


def encode_decision(decision: Decision) -> bytes:
    """The decision as one line of JSON, without LF."""
    return _encode(decision)


def parse_decision(key: bytes | None, value: bytes | None) -> Decision:
    """The decision that a record of the topic says, sound in itself. Raises Disbelieved."""
    if not value:
        raise Disbelieved(Disbelief.DELETED)
    if len(value) > DECISION_BYTES:
        raise Disbelieved(Disbelief.NO_DECISION)
    try:
        decision = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Disbelieved(Disbelief.NO_DECISION) from error
    if not (_ORIGIN.fullmatch(decision.origin) and is_rfc3339(decision.time) and _sound_words(decision)):
        raise Disbelieved(Disbelief.NO_DECISION)
    if key != decision.origin.encode():
        raise Disbelieved(Disbelief.WRONG_KEY)
    if (decision.action is Action.RELEASED) != (decision.released is not None):
        raise Disbelieved(Disbelief.IMPOSSIBLE_STEP)
    return decision


def checked_words(reviewer: str, why: str) -> tuple[str, str]:
    """Who and why, stripped. Raises WrongUse when one is missing, too long, or holds what cannot be shown."""
    for name, text, longest in (("reviewer", reviewer.strip(), REVIEWER_LENGTH), ("reason", why.strip(), WHY_LENGTH)):
        if not text:
            raise WrongUse(f"the {name} is missing; every decision says who decided and why")
        if len(text) > longest:
            raise WrongUse(f"the {name} has {len(text)} characters; write at most {longest}")
        if printable(text) != text:
            raise WrongUse(f"the {name} holds characters that cannot be shown; write it in one line of plain text")
    return reviewer.strip(), why.strip()


def new_id() -> str:
    """An id that no other decision has: 128 random bits."""
    return secrets.token_hex(16)


def _sound_words(decision: Decision) -> bool:
    return all(printable(text) == text and text.strip() for text in (decision.reviewer, decision.why))
