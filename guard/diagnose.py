"""The slow path: names what is wrong with one record. It never accepts; the hot path refused the record already."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from guard.rejection import Fault, Rejection, shown
from guard.sample import IDENTIFIER_LENGTH
from guard.spec import InputSpec
from guard.verdict import RejectReason
from guard.violations import check_sample

__all__ = ["UNEXPLAINED", "diagnose", "repeats_a_key"]

UNEXPLAINED = "the record does not follow the bundle's input specification"
"""The detail where no single fault can be named; a property test shows that it does not come up."""

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_Place = tuple[()] | tuple[Any, str | int]
"""Where a value stands: the place of its container and its key there; the outermost container is a list of one."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def diagnose(raw: bytes, spec: InputSpec, max_record_bytes: int) -> Rejection:
    """Why `raw` is not a sample under `spec`: the first fault found, in the order framing, JSON, keys, values."""
    value: Any = None
    try:
        _check_framing(raw, max_record_bytes)
        value = _parse(_text(raw))
        _check_leaves(value)
        check_sample(value, spec)
    except Fault as fault:
        return Rejection(fault.reason, fault.detail, _identifier(value, "id"), _identifier(value, "source"))
    return Rejection(RejectReason.SCHEMA_VIOLATION, UNEXPLAINED, _identifier(value, "id"), _identifier(value, "source"))


def repeats_a_key(raw: bytes) -> bool:
    """True if any object within the JSON text `raw` spells a key twice, whatever escapes it uses, or cannot be read."""
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except (Fault, ValueError, RecursionError):
        return True
    return False


def _identifier(value: Any, key: str) -> str | None:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) and 0 < len(found) <= IDENTIFIER_LENGTH else None


def _check_framing(raw: bytes, max_record_bytes: int) -> None:
    if not raw:
        raise Fault(RejectReason.TOMBSTONE, "the record is empty; a sample is one JSON object")
    if len(raw) > max_record_bytes:
        raise Fault(RejectReason.TOO_LARGE, f"{len(raw)} bytes; send at most {max_record_bytes}")
    if raw[0] == 0:
        raise Fault(
            RejectReason.UNSUPPORTED_FRAMING,
            "byte 0 is 0, as in records of a Confluent schema registry; send the JSON text alone",
        )
    if raw.startswith(codecs.BOM_UTF8):
        raise _malformed("starts with a byte order mark; remove the first 3 bytes")
    if raw.startswith(_UTF16_MARKS):
        raise _malformed("starts with a UTF-16 byte order mark; send UTF-8")


def _malformed(detail: str) -> Fault:
    return Fault(RejectReason.MALFORMED_JSON, detail)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _malformed(f"byte {error.start} ({raw[error.start]:#04x}) is not UTF-8; send UTF-8") from None


def _parse(text: str) -> Any:
    """The JSON value of `text`, whose objects spell no key twice."""
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise _malformed(_syntax(text, error)) from None
    except RecursionError:
        raise _malformed("nested too deeply; a sample nests two levels") from None
    except ValueError:  # from int(): Python converts no more than 4300 digits
        raise Fault(
            RejectReason.NON_FINITE, "an integer has more digits than any 64-bit float; send a number"
        ) from None
    return value


def _check_leaves(value: Any) -> None:
    """Numbers are finite, and strings hold no lone surrogates, which no UTF-8 can carry on.

    Depth first without recursion: nesting may be as deep as the parser allows, and a megabyte holds half a million
    values.
    """
    stack: list[tuple[_Place, Iterator[tuple[Any, Any]]]] = [((), _children([value]))]
    while stack:
        place, children = stack[-1]
        for key, child in children:
            kind = type(child)
            if kind is dict or kind is list:
                stack.append(((place, key), _children(child)))
                break
            if kind is float and not math.isfinite(child):
                detail = f"{_path((place, key))} is not a finite number; send a finite one"
                raise Fault(RejectReason.NON_FINITE, detail)
            if kind is str and not child.isascii() and _SURROGATE.search(child):
                raise _malformed(f"{_path((place, key))} holds half of a surrogate pair; send both, or plain UTF-8")
        else:
            stack.pop()


def _children(node: dict[str, Any] | list[Any]) -> Iterator[tuple[Any, Any]]:
    return iter(node.items()) if isinstance(node, dict) else enumerate(node)


def _syntax(text: str, error: json.JSONDecodeError) -> str:
    offset = len(text[: error.pos].encode())
    if not text.strip():
        return "only white space; a sample is one JSON object"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string"):
        return f"the JSON text ends early, at byte {len(text.encode())}; send the whole record"
    return f"not JSON at byte {offset}: {error.msg[0].lower()}{error.msg[1:]}"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _malformed(f"key {shown(repeated)} appears twice; send it once")
    return unique


def _path(place: _Place) -> str:
    """The place for a message, such as `record['features'][3]`: the last three steps, for a sample nests no deeper."""
    steps: list[str] = []
    while place and len(steps) < 3:
        place, key = place
        steps.append(f"[{shown(key)}]")
    # The outermost step is the list around the record in which the search starts.
    return "record" + "".join(reversed(steps if place else steps[:-1]))
