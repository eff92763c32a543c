"""Step 5 before it is sent: each record with its headers in exactly one output, and a stub where none can take it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from guard.routing import Sink
from guard.stream.expansion import EXPANDED_BYTES, Unopened
from guard.stream.headers import BatchHeaders, Header, strip_forged
from guard.stream.topics import HEADER_ROOM
from guard.verdict import RejectReason, Status, Verdict

__all__ = ["Limits", "Outgoing", "Prepared", "prepare"]

_STUB_KEY_BYTES = 1024
"""A key up to here stays on a stub; a longer one may be what is too large."""


@dataclass(frozen=True)
class Limits:
    """`batch_bytes`: when a batch is full; `record_bytes`: the smallest `max.message.bytes` of the outputs.

    A record between the two travels alone, as the only one of its batch.
    """

    batch_bytes: int
    record_bytes: int

    def fits(self, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> bool:
        """True if each output takes such a record."""
        return self.size(key, value, headers) <= self.record_bytes

    @staticmethod
    def size(key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> int:
        """Bytes of a batch that holds just this record, at most."""
        size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, list(headers))
        return size


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record on its way out; `timestamp` in milliseconds."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]


@dataclass
class Prepared:
    """One batch, ready to be sent. `verdicts` are those that were sent: a stub changes the verdict of its record."""

    outgoing: dict[Sink, list[Outgoing]]
    verdicts: list[Verdict]
    forged_headers: int = 0
    stubs: int = 0


def prepare(
    records: Sequence[Any],
    verdicts: Sequence[Verdict],
    routes: Mapping[Status, Sink],
    write: BatchHeaders,
    limits: Limits,
) -> Prepared:
    """Each record in exactly one output: its key, value, timestamp and the sender's headers as they came.

    Headers that only the guard may write are stripped first. A record that with the guard's headers is larger than an
    output takes becomes a stub in the dead letters: its origin and the hash of its value.
    """
    done = Prepared({sink: [] for sink in Sink}, list(verdicts))
    add, write_clean, clean = done.outgoing[routes[Status.CLEAN]].append, write.clean, Status.CLEAN
    room = limits.record_bytes - HEADER_ROOM
    for position, (record, verdict) in enumerate(zip(records, verdicts, strict=True)):
        key, value, p_value = record.key, record.value, verdict.p_value
        plain = verdict.status is clean and not record.headers
        if plain and p_value is not None and len(value) + (0 if key is None else len(key)) < room:
            # Nearly all records: nothing to strip, nothing to measure, two headers to format.
            add(Outgoing(record.timestamp, key, value, write_clean(record.offset, p_value)))
        else:
            _prepare_one(done, position, record, routes, write, limits)
    return done


def _prepare_one(
    done: Prepared, position: int, record: Any, routes: Mapping[Status, Sink], write: BatchHeaders, limits: Limits
) -> None:
    value, verdict = record.value, done.verdicts[position]
    if type(value) is Unopened:
        value, verdict = b"", _UNOPENED
        done.verdicts[position] = verdict
    sink = routes[verdict.status]
    own, forged = strip_forged(record.headers)
    done.forged_headers += forged
    write_one = write.marked if sink is Sink.CLEAN else write.refused
    headers = own + write_one(record.offset, verdict)
    if limits.fits(record.key, value, headers):
        done.outgoing[sink].append(Outgoing(record.timestamp, record.key, value, headers))
        return
    size = limits.size(record.key, value, headers)
    detail = f"{size} bytes with the guard's headers; the smallest limit of the outputs is {limits.record_bytes}"
    done.verdicts[position] = _too_large(verdict, detail)
    done.outgoing[Sink.DEAD_LETTER].append(_stub(record, done.verdicts[position], write))
    done.stubs += 1


_UNOPENED = Verdict(
    Status.MALFORMED,
    RejectReason.TOO_LARGE,
    detail=f"its batch expands to more than {EXPANDED_BYTES} bytes; send smaller batches",
)


def _too_large(verdict: Verdict, detail: str) -> Verdict:
    return Verdict(
        Status.MALFORMED,
        RejectReason.TOO_LARGE,
        id=verdict.id,
        source=verdict.source,
        label=verdict.label,
        detail=detail,
    )


def _stub(record: Any, verdict: Verdict, write: BatchHeaders) -> Outgoing:
    """Neither value nor headers of the sender: any of them may be what is too large."""
    key = record.key if len(record.key or b"") <= _STUB_KEY_BYTES else None
    digest = hashlib.sha256(record.value or b"").hexdigest()
    return Outgoing(record.timestamp, key, b"", write.stub(record.offset, verdict, digest))
