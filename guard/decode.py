"""The hot path from raw records to arrays. It only says yes; `guard.diagnose` names what is wrong with the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import force_setattr
from numpy.typing import NDArray

from guard.diagnose import diagnose, repeats_a_key
from guard.payload import Form, payload_reader
from guard.record import Head, record_type
from guard.rejection import Fault, Rejection
from guard.rfc3339 import is_rfc3339
from guard.spec import ClassLabel, ImageInput, InputSpec

__all__ = ["MAX_RECORD_BYTES", "Decoded", "Decoder", "record_limit"]

MAX_RECORD_BYTES = 1 << 20
"""What a Kafka broker takes by default; one record cannot cause more work than this many bytes do."""

_HEAD_BYTES = 64 << 10
"""What a record with a large tensor may say beside it: identifiers, label and names are bounded well below."""

_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, Fault)
_COLON = ord(":")
_SUM_OVER = 128
"""Records whose colons are summed at once: few enough that their text stays in the processor's cache."""
_NAN = float("nan")


def record_limit(spec: InputSpec) -> int:
    """The most bytes of one record: 1 MiB, or more where a tensor of the specification takes more in base64."""
    if not isinstance(spec.input, ImageInput):
        return MAX_RECORD_BYTES
    pixels = spec.input.height * spec.input.width * spec.input.channels
    return max(MAX_RECORD_BYTES, 4 * ceil(pixels / 3) + _HEAD_BYTES)


@dataclass(frozen=True)
class Decoded:
    """A batch of records, sorted into scorable, unknown and rejected ones: each record is exactly one of these.

    `x`: (m, …) and `y`: (m,), the scorable samples as `guard.spec` encodes them; `index`: (m,) their positions in the
    batch, ascending; `unknown`: positions of well-formed samples whose label the specification does not hold;
    `heads`: for each record its `Head` (`id`, `source`, `label`), or its `Rejection`.
    """

    x: NDArray[np.float64] | NDArray[np.uint8]
    y: NDArray[np.int64] | NDArray[np.float64]
    index: NDArray[np.int64]
    unknown: NDArray[np.int64]
    heads: list[Head | Rejection]


class Decoder:
    """Decodes records under one specification. No record, whatever its bytes, makes it raise.

    `max_record_bytes`: longer ones are `too_large`; None takes `record_limit`.
    """

    def __init__(self, spec: InputSpec, max_record_bytes: int | None = None) -> None:
        self._spec = spec
        self._limit = record_limit(spec) if max_record_bytes is None else max_record_bytes
        self._parse = msgspec.json.Decoder(record_type(spec)).decode
        self._payloads = payload_reader(spec)
        values = spec.label.values if isinstance(spec.label, ClassLabel) else ()
        self._classes: dict[Any, int] = {value: index for index, value in enumerate(values)}

    def decode(self, records: Sequence[bytes]) -> Decoded:
        """Sort a batch. Records are judged one by one: what stands beside a record never changes its fate."""
        heads, blocks = self._read(records)
        x: NDArray[Any] = np.empty((len(records), *self._payloads.shape), self._payloads.dtype)
        good = np.zeros(len(records), np.bool_)
        colons = np.zeros(len(records), np.int64)
        for form, (positions, rows) in blocks.items():
            block = self._payloads.check(form, rows)
            x[positions], good[positions], colons[positions] = block.values, block.legal, block.colons
        y, legal, known = self._encode_labels(heads)
        good &= legal
        good[_repeating(records, heads, np.flatnonzero(good), colons)] = False
        final = [head if ok else None for head, ok in zip(heads, good.tolist(), strict=True)]
        index = np.flatnonzero(good & known)
        return Decoded(x[index], y[index], index, np.flatnonzero(good & ~known), self._diagnose(records, final))

    def _read(self, records: Sequence[bytes]) -> tuple[list[Head | None], dict[Form, tuple[list[int], list[bytes]]]]:
        """Each record's head, None where it is refused; and the positions and rows of each form of payload."""
        heads: list[Head | None] = [None] * len(records)
        blocks: dict[Form, tuple[list[int], list[bytes]]] = defaultdict(lambda: ([], []))
        for position, raw in enumerate(records):
            accepted = self._accept(raw)
            if accepted is not None:
                heads[position], (form, row) = accepted
                positions, rows = blocks[form]
                positions.append(position)
                rows.append(row)
        return heads, blocks

    def _accept(self, raw: bytes) -> tuple[Head, tuple[Form, bytes]] | None:
        if len(raw) > self._limit:
            return None
        try:
            head = self._parse(raw)
            payload = self._payloads.read(head)
        except _REFUSALS:
            return None
        if payload is None or not (head.event_time is None or is_rfc3339(head.event_time)):
            return None
        # The row stays, what it was decoded from goes: the floats of 2000 wide records would fall out of the cache.
        force_setattr(head, payload[0].key, None)
        return head, payload

    def _encode_labels(self, heads: Sequence[Head | None]) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]:
        """Encoded labels, which of them are legal, and which of them the specification knows."""
        label = self._spec.label
        if isinstance(label, ClassLabel):
            code = self._classes.get
            y = np.array([-1 if head is None else code(head.label, -1) for head in heads], np.int64)
            return y, np.ones(len(heads), np.bool_), y >= 0
        values = np.array([_NAN if head is None else head.label for head in heads], np.float64)
        return values, (values >= label.minimum) & (values <= label.maximum), np.ones(len(heads), np.bool_)

    def _diagnose(self, records: Sequence[bytes], heads: Sequence[Head | None]) -> list[Head | Rejection]:
        return [
            diagnose(raw, self._spec, self._limit) if head is None else head
            for raw, head in zip(records, heads, strict=True)
        ]


def _repeating(
    records: Sequence[bytes], heads: Sequence[Head | None], candidates: NDArray[np.int64], colons: NDArray[np.int64]
) -> list[int]:
    """Positions of candidates that spell a key twice; msgspec keeps the last one, another reader may keep the first.

    Without a backslash every string stands verbatim in the record, so that each key, and each colon within a string
    that was decoded, is one colon of it, and a record can only have more than those, never fewer. One sum over many
    records therefore clears all of them; only where that fails is each record looked at.
    """
    repeating: list[int] = []
    for positions in np.split(candidates, range(_SUM_OVER, len(candidates), _SUM_OVER)):
        raws = [records[position] for position in positions.tolist()]
        expected = colons[positions] + [_head_colons(heads[position]) for position in positions.tolist()]
        text = b"".join(raws)
        if b"\\" in text or np.count_nonzero(np.frombuffer(text, np.uint8) == _COLON) != expected.sum():
            suspects = zip(positions.tolist(), raws, expected.tolist(), strict=True)
            repeating += [position for position, raw, count in suspects if _repeats(raw, count)]
    return repeating


def _repeats(raw: bytes, expected_colons: int) -> bool:
    return (b"\\" in raw or raw.count(b":") != expected_colons) and repeats_a_key(raw)


def _head_colons(head: Head) -> int:
    colons = 2 + head.source.count(":")
    if head.id is not None:
        colons += 1 + head.id.count(":")
    if head.event_time is not None:
        colons += 1 + head.event_time.count(":")
    return colons + head.label.count(":") if isinstance(head.label, str) else colons
