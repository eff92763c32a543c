"""The least that decodes records and scores them: typed decoding by msgspec, then ONNX Runtime on one thread.

No validation, no p-values, no verdicts. It imports nothing of the product, so that other environments can run it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import onnxruntime as ort

__all__ = ["Kind", "Scorer", "read_rows", "read_tensors"]

Kind = Literal["rows", "tensors"]
"""`rows`: JSON rows of `tests.bench.models.TABLE`; `tensors`: base64 tensors of its `IMAGES`."""

_BATCH: dict[Kind, int] = {"rows": 512, "tensors": 256}
"""Where ONNX Runtime is fastest with the bundles of `tests.bench.models`."""

_REGIONS = {name: index for index, name in enumerate(("north", "east", "south", "west"))}
_DEVICES = {name: index for index, name in enumerate(("phone", "tablet", "desktop"))}
_LABELS = {"low": 0, "middle": 1, "high": 2}

_FEATURES = msgspec.defstruct(
    "Features",
    [
        *((f"measure_{index}", float) for index in range(10)),
        ("region", Literal["north", "east", "south", "west"]),
        ("device", Literal["phone", "tablet", "desktop"]),
    ],
    gc=False,
)
_ROW = msgspec.defstruct("Row", [("source", str), ("label", str), ("features", _FEATURES)], gc=False)
_TENSOR = msgspec.defstruct("Tensor", [("dtype", str), ("shape", list[int]), ("data", bytes)], gc=False)
_IMAGE = msgspec.defstruct("Image", [("source", str), ("label", int), ("tensor", _TENSOR)], gc=False)
_DECODE: dict[Kind, Callable[[bytes], Any]] = {
    "rows": msgspec.json.Decoder(_ROW).decode,
    "tensors": msgspec.json.Decoder(_IMAGE).decode,
}


def read_rows(values: Sequence[bytes]) -> tuple[Any, Any]:
    """x (m, 12) and y (m,) of the rows that are sound."""
    records = _decoded("rows", values)
    to_tuple = msgspec.structs.astuple
    rows = [to_tuple(record.features) for record in records]
    x = np.array([(*row[:10], _REGIONS[row[10]], _DEVICES[row[11]]) for row in rows], np.float64).reshape(-1, 12)
    return x, np.array([_LABELS[record.label] for record in records], np.int64)


def read_tensors(values: Sequence[bytes]) -> tuple[Any, Any]:
    """x (m, 28, 28, 1) and y (m,) of the images that are sound."""
    records = _decoded("tensors", values)
    pixels = np.frombuffer(b"".join([record.tensor.data for record in records]), np.uint8)
    return pixels.reshape(-1, 28, 28, 1), np.array([record.label for record in records], np.int64)


def _decoded(kind: Kind, values: Sequence[bytes]) -> list[Any]:
    decode, found = _DECODE[kind], []
    for value in values:
        try:
            found.append(decode(value))
        except msgspec.DecodeError:
            continue
    return found


class Scorer:
    """A graph over one kind of records."""

    def __init__(self, kind: Kind, model: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # the bundles built by hand hold constants that nothing uses
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._read = {"rows": read_rows, "tensors": read_tensors}[kind]
        self._batch = _BATCH[kind]

    def __call__(self, values: Sequence[bytes]) -> list[float]:
        """The highest score of each sound record; those of other records are left out."""
        found: list[float] = []
        for first in range(0, len(values), self._batch):
            x, y = self._read(values[first : first + self._batch])
            if len(y):
                found += self._session.run(["scores", "suggestion"], {"x": x, "y": y})[0].max(axis=1).tolist()
        return found
