"""Records that are no samples: for every reason that a file can show under one specification, bytes that show it."""

from __future__ import annotations

import json
from typing import Any

from guard.decode import MAX_RECORD_BYTES
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberLabel
from guard.verdict import HoldReason, RejectReason

__all__ = ["Expected", "junk_records"]

Expected = RejectReason | HoldReason
"""Why a record has to be refused, or held without being scored."""


def junk_records(good: bytes, spec: InputSpec) -> list[tuple[Expected, bytes]]:
    """Spoilt copies of `good`, a legal record under `spec` as `encode_samples` writes it, with the reason of each.

    Left out are `tombstone`, which a file cannot hold (an empty line is malformed JSON), `unknown_category`, which
    needs a column of text, and for images `out_of_range`, which no byte can be.
    """
    sample: dict[str, Any] = json.loads(good)
    return [
        (RejectReason.MALFORMED_JSON, good[: len(good) // 2]),
        (RejectReason.MALFORMED_JSON, b"\xff\xfe\x00 not text at all"),
        (RejectReason.MALFORMED_JSON, b""),
        (RejectReason.SCHEMA_VIOLATION, _line({**sample, "shoe_size": 42})),
        (RejectReason.SCHEMA_VIOLATION, _line({key: sample[key] for key in sample if key != "label"})),
        (RejectReason.NON_FINITE, _line({**sample, "label": float("inf")})),
        (RejectReason.UNSUPPORTED_FRAMING, b"\x00\x00\x00\x00\x01" + good),
        (RejectReason.TOO_LARGE, _line({**sample, "id": "x" * MAX_RECORD_BYTES})),
        (RejectReason.SHAPE_MISMATCH, _line({**sample, **_wrong_shape(sample, spec)})),
        _unknown_label(sample, spec.label),
        *_out_of_range(sample, spec),
    ]


def _wrong_shape(sample: dict[str, Any], spec: InputSpec) -> dict[str, Any]:
    if isinstance(spec.input, ImageInput):
        return {"tensor": {**sample["tensor"], "shape": [1, 1, 1]}}
    return {"features": [0.0] * (len(spec.input.columns) + 1)}


def _unknown_label(sample: dict[str, Any], label: ClassLabel | NumberLabel) -> tuple[Expected, bytes]:
    if isinstance(label, NumberLabel):
        return RejectReason.OUT_OF_RANGE, _line({**sample, "label": label.maximum + 1})
    largest = max(label.values)
    return HoldReason.UNKNOWN_LABEL, _line({**sample, "label": largest + type(largest)(1)})  # type: ignore[operator]


def _out_of_range(sample: dict[str, Any], spec: InputSpec) -> list[tuple[Expected, bytes]]:
    if isinstance(spec.input, ImageInput):
        return []
    features = {**sample["features"], spec.input.columns[0].name: 1e9}
    return [(RejectReason.OUT_OF_RANGE, _line({**sample, "features": features}))]


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()
