"""What a parsed record says against the wire format and one InputSpec: each check raises the `Fault` that it finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from guard.images import decode_image
from guard.payload import column_bounds
from guard.rejection import Fault, shown
from guard.rfc3339 import is_rfc3339
from guard.sample import IDENTIFIER_LENGTH, PAYLOADS, decode_base64
from guard.spec import (
    BooleanColumn,
    Column,
    ImageInput,
    InputSpec,
    NumberColumn,
    NumberLabel,
    TableInput,
)
from guard.verdict import RejectReason

__all__ = ["check_sample"]

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)
_KEYS = ("source", "label", "id", "event_time", *PAYLOADS)


def check_sample(value: Any, spec: InputSpec) -> None:
    """Raise the first `Fault` of a parsed record: its keys, then its identity, its label, its input."""
    if not isinstance(value, dict):
        raise _violation(f"the record is {_kind(value)}; a sample is one JSON object")
    _check_keys(value, "", _KEYS, required=("source", "label"))
    _check_identity(value)
    payloads = [name for name in PAYLOADS if value.get(name) is not None]
    if len(payloads) != 1:
        found = " and ".join(payloads) or "none"
        raise _violation(f"exactly one of {', '.join(PAYLOADS)} is needed; found {found}")
    _check_label(value["label"], spec)
    if isinstance(spec.input, ImageInput):
        _check_image_input(payloads[0], value[payloads[0]], spec.input)
    else:
        _check_table_input(payloads[0], value[payloads[0]], spec.input)


def _violation(detail: str) -> Fault:
    return Fault(RejectReason.SCHEMA_VIOLATION, detail)


def _kind(value: Any) -> str:
    """JSON's word for the type of `value`."""
    return next((word for kind, word in _KINDS if isinstance(value, kind)), "null")


def _check_keys(value: dict[str, Any], within: str, known: Sequence[str], required: Sequence[str]) -> None:
    for key in value:
        if key not in known:
            raise _violation(f"unknown key {shown(key)}{within}; known are {', '.join(known)}")
    for key in required:
        if key not in value:
            raise _violation(f"key '{key}' is missing{within}")


def _check_identity(value: dict[str, Any]) -> None:
    _check_text(value["source"], "source", minimum=1)
    if value.get("id") is not None:
        _check_text(value["id"], "id", minimum=0)
    event_time = value.get("event_time")
    if event_time is not None and not (isinstance(event_time, str) and is_rfc3339(event_time)):
        raise _violation(f"event_time is {shown(event_time)}; send RFC 3339 with time zone, as 2026-01-31T09:30:00Z")


def _check_text(value: Any, key: str, minimum: int) -> None:
    if not isinstance(value, str):
        raise _violation(f"{key} is {_kind(value)}; send a string")
    if not minimum <= len(value) <= IDENTIFIER_LENGTH:
        raise _violation(f"{key} has {len(value)} characters; send {minimum} to {IDENTIFIER_LENGTH}")


def _check_label(value: Any, spec: InputSpec) -> None:
    label = spec.label
    if isinstance(label, NumberLabel):
        _check_range(_number(value, "label"), label.minimum, label.maximum, "label")
        return
    wanted, article = (str, "a string") if isinstance(label.values[0], str) else (int, "an integer")
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise _violation(f"label is {_kind(value)}; send {article} such as {shown(label.values[0])}")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _violation(f"{where} is {_kind(value)}; send a number")
    try:
        return float(value)
    except OverflowError:
        raise Fault(RejectReason.NON_FINITE, f"{where} does not fit a 64-bit float; send a finite number") from None


def _check_range(value: float, minimum: float, maximum: float, where: str) -> None:
    if not minimum <= value <= maximum:
        raise Fault(RejectReason.OUT_OF_RANGE, f"{where} is {value}; send a number in [{minimum}, {maximum}]")


def _check_table_input(payload: str, value: Any, table: TableInput) -> None:
    if payload == "features" and isinstance(value, dict):
        _check_row(value, table.columns)
        return
    if payload == "image":
        raise _violation("this bundle reads tables; send features")
    other = next((column.name for column in table.columns if not isinstance(column, NumberColumn)), None)
    if other is not None:
        raise _violation(f"column {shown(other)} is not numeric; send features as an object of named columns")
    check = _check_array if payload == "features" else _check_table_tensor
    check(value, table.columns)


def _check_row(features: dict[str, Any], columns: Sequence[Column]) -> None:
    names = {column.name for column in columns}
    for name in features:
        if name not in names:
            raise _violation(f"unknown column {shown(name)}; leave it out")
    for column in columns:
        if column.name not in features and not column.gaps:
            raise _violation(f"column {shown(column.name)} is missing, and may not be")
        _check_cell(features.get(column.name), column)


def _check_cell(value: Any, column: Column) -> None:
    where = f"features[{shown(column.name)}]"
    if value is None and column.gaps:
        return
    if isinstance(column, NumberColumn):
        _check_range(_number(value, where), column.minimum, column.maximum, where)
    elif isinstance(column, BooleanColumn):
        if not isinstance(value, bool):
            raise _violation(f"{where} is {_kind(value)}; send true or false")
    elif not isinstance(value, str):
        raise _violation(f"{where} is {_kind(value)}; send a string")
    elif value not in column.values:
        some = ", ".join(shown(known) for known in column.values[:3])
        raise Fault(RejectReason.UNKNOWN_CATEGORY, f"{where} is {shown(value)}; send one of {some}, …")


def _check_array(features: Any, columns: Sequence[Column]) -> None:
    if not isinstance(features, list):
        raise _violation(f"features is {_kind(features)}; send an object of named columns")
    numbers = [_number(value, f"features[{at}]") for at, value in enumerate(features)]
    if len(numbers) != len(columns):
        raise Fault(RejectReason.SHAPE_MISMATCH, f"features has {len(numbers)} numbers; send {len(columns)}")
    for at, (number, low, high) in enumerate(zip(numbers, *column_bounds(columns, np.dtype("f8")), strict=True)):
        _check_range(number, float(low), float(high), f"features[{at}]")


def _check_table_tensor(tensor: Any, columns: Sequence[Column]) -> None:
    data = _tensor(tensor, ("float32", "float64"), [[len(columns)]])
    numbers = np.frombuffer(data, np.dtype(tensor["dtype"]).newbyteorder("<"))
    low, high = column_bounds(columns, numbers.dtype)
    for at, number in enumerate(numbers.tolist()):
        if not math.isfinite(number):
            raise Fault(RejectReason.NON_FINITE, f"tensor.data[{at}] is {number}; send a finite number")
        _check_range(number, float(low[at]), float(high[at]), f"tensor.data[{at}]")


def _tensor(tensor: Any, dtypes: Sequence[str], shapes: Sequence[list[int]]) -> bytes:
    """The bytes of a tensor whose dtype and shape are among the legal ones, and whose length is theirs."""
    _check_object(tensor, "tensor", ("dtype", "shape", "data"))
    if tensor["dtype"] not in dtypes:
        raise _violation(f"tensor.dtype is {shown(tensor['dtype'])}; send {' or '.join(dtypes)}")
    shape = tensor["shape"]
    if not isinstance(shape, list) or any(type(size) is not int for size in shape):
        raise _violation("tensor.shape is not an array of integers; send one")
    if shape not in shapes:
        wanted = " or ".join(map(str, shapes))
        raise Fault(RejectReason.SHAPE_MISMATCH, f"tensor.shape is {shown(shape)}; send {wanted}")
    data = _base64(tensor["data"], "tensor.data")
    size = math.prod(shape) * np.dtype(tensor["dtype"]).itemsize
    if len(data) != size:
        raise Fault(RejectReason.SHAPE_MISMATCH, f"tensor.data holds {len(data)} bytes; send {size} for {shape}")
    return data


def _check_object(value: Any, name: str, keys: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise _violation(f"{name} is {_kind(value)}; send an object with {', '.join(keys)}")
    _check_keys(value, f" in {name}", keys, required=keys)


def _base64(value: Any, where: str) -> bytes:
    if not isinstance(value, str):
        raise _violation(f"{where} is {_kind(value)}; send base64 text")
    try:
        return decode_base64(value)
    except ValueError:
        raise _violation(f"{where} is not base64; send the standard alphabet, padded, without line breaks") from None


def _check_image_input(payload: str, value: Any, image: ImageInput) -> None:
    if payload == "features":
        raise _violation("this bundle reads images; send tensor or image")
    if payload == "tensor":
        shape = [image.height, image.width, image.channels]
        _tensor(value, ("uint8",), [shape, shape[:2]] if image.channels == 1 else [shape])
        return
    _check_object(value, "image", ("encoding", "data"))
    if value["encoding"] not in ("png", "jpeg"):
        raise _violation(f"image.encoding is {shown(value['encoding'])}; send png or jpeg")
    decode_image(value["encoding"], _base64(value["data"], "image.data"), image)
