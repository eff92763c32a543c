"""A small JSON document that people pass on: frozen, closed, and read as hostile bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from guard.errors import GateRefused, GuardError
from guard.rfc3339 import is_rfc3339
from guard.terminal import printable

__all__ = ["Document", "Line", "Sha256", "Time", "read_document"]

_MOST_BYTES = 1 << 20
"""A gate has a few thousand bytes; what is longer is none, and is not parsed."""


def _time(text: str) -> str:
    if not is_rfc3339(text):
        raise ValueError("must be RFC 3339 with a time zone")
    return text


def _line(text: str) -> str:
    if not text.strip() or printable(text) != text:
        raise ValueError("must be one line of text that can be shown")
    return text


Time = Annotated[str, AfterValidator(_time), Field(json_schema_extra={"format": "date-time"})]
Line = Annotated[str, AfterValidator(_line), Field(max_length=1000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Document(BaseModel):
    """Base of what is read: no entry that is not known, no infinite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


_Document = TypeVar("_Document", bound=Document)


def read_document(
    path: Path, kind: type[_Document], refused: type[GuardError] = GateRefused
) -> tuple[dict[str, Any], _Document]:
    """The file `path` as plain JSON and as a `kind`. Raises `refused`."""
    what = kind.__name__
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise refused(f"{path}: it has more than the {_MOST_BYTES} bytes of a {what}; name the file of one")
        found = kind.model_validate_json(data, strict=True)
        return json.loads(data), found
    except OSError as error:
        raise refused(f"{path}: it cannot be read ({error.strerror}); name the file of a {what}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or what
        raise refused(f"{path}: {where}: {first['msg']}; make the {what} again") from error
