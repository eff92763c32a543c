"""NPZ with the arrays `x` and `y`, read row by row in constant memory. Positions count rows.

Nothing is unpacked but the rows in hand, so an archive that claims more than it is worth costs no memory; pickles are
refused by `guard.npz`.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from guard.errors import InputUnreadable
from guard.filter.reader import Window
from guard.filter.rows import label_value, number_value
from guard.npz import DAMAGED, array_header
from guard.sample import IDENTIFIER_LENGTH
from guard.spec import ImageInput, InputSpec, NumberColumn, TableInput

__all__ = ["NpzRows"]

_WINDOW_ROWS = 1024
_LONGEST_LABEL = 4096


class NpzRows:
    """The rows of `x` with the labels of `y`.

    Images are uint8 (n, height, width) or (n, height, width, channels); tables are numbers (n, columns) in the order of
    the specification, NaN for gaps. Raises InputUnreadable when the archive is damaged or does not fit.
    """

    def __init__(self, path: Path, spec: InputSpec, source: str) -> None:
        self._path = path
        self._spec = spec
        self._source = source[:IDENTIFIER_LENGTH]
        self._payload = _payload(spec, path)
        with _damage_named(path), zipfile.ZipFile(path) as archive, _Rows(archive, "x") as x, _Rows(archive, "y") as y:
            _require_fit(spec, x, y)
            self.total: int | None = x.count

    def windows(self, start: int) -> Iterator[Window]:
        """See `Reader`."""
        encode = msgspec.json.Encoder().encode
        with (
            _damage_named(self._path),
            zipfile.ZipFile(self._path) as archive,
            _Rows(archive, "x") as x,
            _Rows(archive, "y") as y,
        ):
            x.skip(start)
            y.skip(start)
            for position in range(start, x.count, _WINDOW_ROWS):
                count = min(_WINDOW_ROWS, x.count - position)
                payloads, labels = self._payload(x.read(count)), _labels(y.read(count))
                heads = [{"source": self._source, "label": label_value(self._spec, label)} for label in labels]
                records = [encode({**head, **payload}) for head, payload in zip(heads, payloads, strict=True)]
                yield Window(records, position + count)


class _Rows:
    """One array of an open archive, read in order."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        members = [member for member in archive.infolist() if member.filename == f"{name}.npy"]
        if len(members) != 1:
            raise ValueError(f"it holds {len(members)} arrays {name!r}, not one")
        self._stream: IO[bytes] = archive.open(members[0])
        self.shape, fortran, self.dtype = array_header(self._stream)
        if self.dtype.kind not in "biufUS":
            raise ValueError(f"array {name!r} has dtype {self.dtype}; only numbers and text are read")
        if fortran and len(self.shape) > 1:
            raise ValueError(f"array {name!r} is in Fortran order; save numpy.ascontiguousarray({name})")
        if not self.shape or math.prod(self.shape) * self.dtype.itemsize != members[0].file_size - self._stream.tell():
            raise ValueError(f"array {name!r} says shape {self.shape}, but holds another number of bytes")
        self.count = self.shape[0]
        self._row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize

    def __enter__(self) -> _Rows:
        return self

    def __exit__(self, *ignored: object) -> None:
        self._stream.close()

    def skip(self, rows: int) -> None:
        self._stream.seek(self._stream.tell() + rows * self._row_bytes)

    def read(self, rows: int) -> NDArray[Any]:
        data = self._stream.read(rows * self._row_bytes)
        if len(data) < rows * self._row_bytes:
            raise EOFError("it ends within an array")
        return np.frombuffer(data, self.dtype).reshape(rows, *self.shape[1:])


def _require_fit(spec: InputSpec, x: _Rows, y: _Rows) -> None:
    if y.shape not in {(x.count,), (x.count, 1)} or y.dtype.itemsize > _LONGEST_LABEL:
        raise ValueError(f"x has {x.count} rows, y has shape {y.shape} of {y.dtype}; each row needs one label")
    if isinstance(spec.input, ImageInput):
        want = (spec.input.height, spec.input.width, spec.input.channels)
        shapes = [want, want[:2]] if want[2] == 1 else [want]
        if x.dtype != np.uint8 or x.shape[1:] not in shapes:
            raise ValueError(f"x is {x.dtype} {x.shape}, the bundle judges uint8 (n, {', '.join(map(str, want))})")
    elif x.dtype.kind not in "biuf" or x.shape[1:] != (len(spec.input.columns),):
        raise ValueError(f"x is {x.dtype} {x.shape}, the bundle judges numbers (n, {len(spec.input.columns)})")


def _payload(spec: InputSpec, path: Path) -> Callable[[NDArray[Any]], list[dict[str, Any]]]:
    """How rows become the input part of records."""
    if isinstance(spec.input, ImageInput):
        return _tensors(spec.input)
    return _features(spec.input, path)


def _tensors(image: ImageInput) -> Callable[[NDArray[Any]], list[dict[str, Any]]]:
    shape = (image.height, image.width, image.channels)

    def tensors(rows: NDArray[Any]) -> list[dict[str, Any]]:
        return [{"tensor": {"dtype": "uint8", "shape": shape, "data": row.tobytes()}} for row in rows]

    return tensors


def _features(table: TableInput, path: Path) -> Callable[[NDArray[Any]], list[dict[str, Any]]]:
    names = [column.name for column in table.columns if isinstance(column, NumberColumn)]
    if len(names) != len(table.columns):
        raise InputUnreadable(f"{path}: an NPZ table holds numbers only, the bundle has other columns. Send CSV.")

    def features(rows: NDArray[Any]) -> list[dict[str, Any]]:
        return [
            {"features": {name: number_value(value) for name, value in zip(names, row, strict=True)}}
            for row in rows.astype(np.float64).tolist()
        ]

    return features


def _labels(rows: NDArray[Any]) -> list[Any]:
    labels = np.char.decode(rows, "latin-1") if rows.dtype.kind == "S" else rows
    values: list[Any] = labels.reshape(-1).tolist()
    return values


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGED as broken:
        raise InputUnreadable(
            f"{path} is not a readable NPZ file: {broken}. Write it again with numpy.savez."
        ) from broken
