"""What a typed record carries, as the bytes of its row, and many such rows checked at once."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from guard.images import decode_image
from guard.record import ABSENT
from guard.spec import BooleanColumn, CategoryColumn, Column, ImageInput, InputSpec, NumberColumn, TableInput

__all__ = ["Block", "Form", "PayloadReader", "column_bounds", "payload_reader"]

_NAN = float("nan")
_ARRAY_COLONS, _IMAGE_COLONS, _TENSOR_COLONS = 1, 3, 4
"""The payload's own key and the keys within it."""


@dataclass(frozen=True, eq=False)
class Form:
    """One way to send an input: its key, the dtype of its bytes, and the colons that its keys take in JSON."""

    key: str
    dtype: str
    colons: int


@dataclass(frozen=True)
class Block:
    """Rows of one form. `values`: (n, …) in the encoding of `guard.spec`; `legal`: (n,); `colons`: (n,) in JSON."""

    values: NDArray[Any]
    legal: NDArray[np.bool_]
    colons: NDArray[np.int64]


class PayloadReader(Protocol):
    """Reads the payloads of records that were decoded under one specification."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, record: Any) -> tuple[Form, bytes] | None:
        """The payload's form and the bytes of its row; None if it is not legal. Raises `Fault` for a broken image."""

    def check(self, form: Form, rows: Sequence[bytes]) -> Block:
        """Many rows of one form as an array, and which of them are legal."""


def payload_reader(spec: InputSpec) -> PayloadReader:
    """The reader for `spec`."""
    return _ImageReader(spec.input) if isinstance(spec.input, ImageInput) else _TableReader(spec.input)


class _ImageReader:
    def __init__(self, image: ImageInput) -> None:
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self.shape: tuple[int, ...] = (image.height, image.width, image.channels)
        self._image = image
        self._size = image.height * image.width * image.channels
        self._shapes = [list(self.shape), list(self.shape[:2])] if image.channels == 1 else [list(self.shape)]
        self._tensor = Form("tensor", "u1", _TENSOR_COLONS)
        self._file = Form("image", "u1", _IMAGE_COLONS)

    def read(self, record: Any) -> tuple[Form, bytes] | None:
        tensor, image = record.tensor, record.image
        if tensor is None:
            return None if image is None else (self._file, decode_image(image.encoding, image.data, self._image))
        if image is not None or tensor.shape not in self._shapes or len(tensor.data) != self._size:
            return None
        return self._tensor, tensor.data

    def check(self, form: Form, rows: Sequence[bytes]) -> Block:
        values = np.frombuffer(b"".join(rows), form.dtype).reshape(-1, *self.shape)
        return Block(values, np.ones(len(rows), np.bool_), np.full(len(rows), form.colons))


class _TableReader:
    def __init__(self, table: TableInput) -> None:
        columns = table.columns
        self.dtype: np.dtype[Any] = np.dtype(np.float64)
        self.shape: tuple[int, ...] = (len(columns),)
        self._bounds = {dtype: column_bounds(columns, dtype) for dtype in map(np.dtype, ("<f4", "<f8"))}
        self._gaps = any(column.gaps for column in columns)
        self._name_colons = np.array([1 + column.name.count(":") for column in columns])
        self._value_colons = [
            (at, counts) for at, column in enumerate(columns) if (counts := _value_colons(column)).any()
        ]
        self._object = Form("features", "<f8", 1 + int(self._name_colons.sum()))
        self._array = Form("features", "<f8", _ARRAY_COLONS)
        self._tensors = {
            "float32": Form("tensor", "<f4", _TENSOR_COLONS),
            "float64": Form("tensor", "<f8", _TENSOR_COLONS),
        }
        self._pack = struct.Struct(f"<{len(columns)}d").pack

    def read(self, record: Any) -> tuple[Form, bytes] | None:
        features, tensor = record.features, record.tensor
        if tensor is not None:
            return self._read_tensor(tensor) if features is None else None
        if features is None:
            return None
        if type(features) is list:
            return self._array, self._pack(*features)
        row: Sequence[Any] = astuple(features)
        if self._gaps:
            row = [_NAN if cell is None else cell for cell in row]
        return self._object, self._pack(*row)

    def _read_tensor(self, tensor: Any) -> tuple[Form, bytes] | None:
        form = self._tensors[tensor.dtype]
        size = self.shape[0] * np.dtype(form.dtype).itemsize
        return (form, tensor.data) if tensor.shape == [*self.shape] and len(tensor.data) == size else None

    def check(self, form: Form, rows: Sequence[bytes]) -> Block:
        values = np.frombuffer(b"".join(rows), form.dtype).reshape(-1, *self.shape)
        colons = np.full(len(rows), form.colons)
        if form is self._object:
            return self._check_object(values, colons)
        with np.errstate(invalid="ignore"):
            return Block(values.astype(np.float64), np.logical_and.reduce(self._within(values), axis=1), colons)

    def _within(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        low, high = self._bounds[values.dtype]
        within: NDArray[np.bool_] = (values >= low) & (values <= high)
        return within

    def _check_object(self, values: NDArray[np.float64], colons: NDArray[np.int64]) -> Block:
        within = self._within(values)
        if not within.all():
            absent = values == ABSENT
            values = np.where(absent, _NAN, values)
            within |= np.isnan(values)
            colons = colons - absent @ self._name_colons
        for at, counts in self._value_colons:
            colons = colons + counts[np.nan_to_num(values[:, at], nan=-1).astype(np.int64)]
        return Block(values, np.logical_and.reduce(within, axis=1), colons)


def column_bounds(columns: Sequence[Column], dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Smallest and largest legal value of each column, rounded to `dtype`: 0.1 may be sent as float32 of 0.1."""
    bounds = np.array([_range(column) for column in columns], np.float64)
    largest = np.finfo(dtype).max
    low, high = bounds.clip(-largest, largest).astype(dtype).T
    return low, high


def _range(column: Column) -> tuple[float, float]:
    if isinstance(column, NumberColumn):
        return column.minimum, column.maximum
    return (0.0, 1.0) if isinstance(column, BooleanColumn) else (0.0, len(column.values) - 1.0)


def _value_colons(column: Column) -> NDArray[np.int64]:
    """Colons in each value of a category column, then none for a gap, whose index is −1."""
    values = column.values if isinstance(column, CategoryColumn) else ()
    return np.array([*(value.count(":") for value in values), 0])
