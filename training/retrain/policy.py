"""The written policy of retraining: which records may become trusted, what an audit must show, and who may be promoted.

`docs/retraining.md` shows one. Every key has a default; a key that is not known is refused, because a cap that was
misspelt would be no cap.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from guard.errors import InputUnreadable, WrongUse
from guard.gate import Limits
from guard.review.filters import parse_duration

__all__ = ["Caps", "Policy", "Promotion", "Records", "WrittenPolicy", "read_policy"]

_MOST_BYTES = 1 << 20


def _duration(text: str) -> str:
    try:
        parse_duration(text)
    except WrongUse as wrong:
        raise ValueError(str(wrong)) from wrong
    return text


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Records(_Section):
    """Which records are considered at all.

    `max_age`: such as `90d`, counted from when the guard judged a record, or from its own `event_time` in a file, which
    its sender chose; null: any. `undated`: what becomes of records without a time where `max_age` is set. `released`:
    what a reviewer released is taken like the rest, left, or nothing else is taken. `accused`: records from sources
    that stand accused of sending poison. `near_duplicate`: records at most so far from a trusted or an earlier record
    are left: root mean square over columns, in standard deviations of the trusted rows, or over pixels, as a share of
    white; 0: only identical ones.
    """

    max_age: Annotated[str, AfterValidator(_duration)] | None = None
    undated: Literal["take", "leave"] = "leave"
    released: Literal["take", "leave", "only"] = "take"
    accused: Literal["take", "leave"] = "leave"
    near_duplicate: float = Field(0.002, ge=0, le=1)


class Caps(_Section):
    """How much one retraining may change.

    `new_share`: of the candidate at most so much is new. `per_source`: rows of one source. `class_growth`: new rows of
    a class, as a multiple of its trusted ones; a number as label counts by ten bands with equally many trusted rows.
    """

    new_share: float = Field(0.5, gt=0, lt=1)
    per_source: int = Field(200, ge=1)
    class_growth: float = Field(1.0, gt=0)


class Promotion(_Section):
    """How much worse than the champion a challenger may be, and still take its place.

    `mean_recall_loss`: of the mean over all attacks; `recall_loss`: of one attack; `lost_canaries`: known bad samples
    that the champion holds and the challenger passes; `disagreement`: share of recent records that only one of them
    passes; `slowdown`: seconds per record against the champion's.
    """

    mean_recall_loss: float = Field(0.02, ge=0, le=1)
    recall_loss: float = Field(0.10, ge=0, le=1)
    lost_canaries: int = Field(0, ge=0)
    disagreement: float = Field(0.05, ge=0, le=1)
    slowdown: float = Field(2.5, ge=1)


class Policy(_Section):
    """The whole policy. `audit`: the largest bound on the poison among the new rows, and its confidence."""

    format_version: Literal[1] = 1
    records: Records = Records()
    caps: Caps = Caps()
    audit: Limits = Limits()
    promotion: Promotion = Promotion()


@dataclass(frozen=True)
class WrittenPolicy:
    """A policy, the bytes that it was read from, and their SHA-256."""

    policy: Policy
    text: bytes
    sha256: str


def read_policy(path: Path) -> WrittenPolicy:
    """Reads a TOML file. Raises InputUnreadable when it cannot be read, WrongUse naming the key that is wrong."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES)
        found = tomllib.loads(text.decode())
    except OSError as error:
        raise InputUnreadable(f"{path} cannot be read: {error.strerror}; name the file of a policy") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} is no TOML ({error}); docs/retraining.md shows a policy") from error
    try:
        return WrittenPolicy(Policy.model_validate(found), text, hashlib.sha256(text).hexdigest())
    except ValidationError as wrong:
        raise WrongUse(f"{path}: {_first(wrong)}") from wrong


def _first(wrong: ValidationError) -> str:
    first = wrong.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] != "extra_forbidden":
        return f"{where}: {first['msg']}"
    return f"{where}: there is no such key; {_known(first['loc'][:-1])}"


def _known(section: tuple[int | str, ...]) -> str:
    model: type[BaseModel] = Policy
    for name in section:
        inner = model.model_fields[str(name)].annotation
        assert isinstance(inner, type)  # noqa: S101 – each section is a model
        model = inner
    return f"known are {', '.join(model.model_fields)}"
