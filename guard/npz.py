"""Arrays in .npz files: written the same from the same arrays, read as hostile bytes.

No pickle, no zip bomb, nothing evaluated, nothing allocated before its size is proven.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from guard.errors import GuardError

__all__ = [
    "DAMAGED",
    "MAX_BYTES",
    "ArrayKind",
    "array_header",
    "array_names",
    "pack_arrays",
    "read_arrays",
    "unpack_arrays",
]

MAX_BYTES = 4 << 30
"""Bytes that all arrays of one file may unpack to: a 40 kB zip bomb can claim terabytes."""

_MAX_PART_BYTES = 1 << 30
_MAX_HEADER = 4096
_HEADER = re.compile(
    r"\{ ?'descr': ?'([<>|=][a-zA-Z][0-9]{1,9})', ?'fortran_order': ?(True|False), "
    r"?'shape': ?\(((?:[0-9]{1,18}(?:, ?|(?=\))))*)\),? ?\}\s*"
)
_KINDS = frozenset("biufUS")
_AGAIN = "get the file again from where it was made"
DAMAGED = (
    *(ValueError, TypeError, EOFError, OSError, MemoryError),  # headers and data that contradict themselves
    *(zipfile.BadZipFile, zlib.error, RuntimeError),  # bad checksums; encrypted, nested or unknown kinds of members
)
"""What reading a damaged archive raises."""


def array_names(source: Path | IO[bytes], title: str, refuse: type[GuardError]) -> list[str]:
    """Names of the arrays in `source`, without reading them. Raises `refuse` when it is no zip file."""
    try:
        with zipfile.ZipFile(source) as archive:
            return [_array_name(member) for member in archive.infolist()]
    except DAMAGED as broken:
        raise refuse(f"{title} is not a readable .npz file ({broken}); {_AGAIN}") from broken


def read_arrays(
    source: Path | IO[bytes],
    names: Collection[str],
    title: str,
    refuse: type[GuardError],
    *,
    max_bytes: int = MAX_BYTES,
) -> dict[str, NDArray[Any]]:
    """The arrays `names` out of `source`, each writable and in its own memory.

    `title` names the file in messages. Raises `refuse` when an array is missing, stands there twice, holds pickled
    objects, is damaged, or when all of them together would take more than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = _wanted(archive, names, max_bytes)
            return {name: _read_member(archive, members[name]) for name in names}
    except DAMAGED as broken:
        reason = str(broken) or type(broken).__name__
        raise refuse(f"{title}: {reason}; {_AGAIN}") from broken


def _array_name(member: zipfile.ZipInfo) -> str:
    return member.filename.removesuffix(".npy")


def _wanted(archive: zipfile.ZipFile, names: Collection[str], max_bytes: int) -> Mapping[str, zipfile.ZipInfo]:
    members = [member for member in archive.infolist() if _array_name(member) in names]
    found = {_array_name(member): member for member in members}
    if len(found) < len(members):
        raise ValueError("an array stands in the file twice")
    if missing := sorted(set(names) - set(found)):
        raise ValueError(f"array {missing[0]!r} is missing")
    size = sum(member.file_size for member in members)
    if size > max_bytes:
        raise ValueError(f"its arrays would unpack to {size:,} bytes, more than the {max_bytes:,} that are allowed")
    return found


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as stream:
        shape, fortran, dtype = array_header(stream)
        name = _array_name(member)
        if dtype.hasobject or dtype.kind not in _KINDS:
            raise ValueError(f"array {name!r} has dtype {dtype}; only plain numbers and text are read, never pickles")
        if math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
            raise ValueError(f"array {name!r} says shape {shape}, but holds another number of bytes")
        flat = np.empty(math.prod(shape), dtype)
        _fill(stream, flat)
    return flat.reshape(shape, order="F" if fortran else "C")


def array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype at the start of an array's file. Raises one of `DAMAGED`.

    Read by the one spelling that NumPy writes: NumPy's own reader evaluates it and trips over hostile syntax.
    """
    size_bytes = 2 if npy.read_magic(stream) == (1, 0) else 4
    text = stream.read(min(int.from_bytes(stream.read(size_bytes), "little"), _MAX_HEADER)).decode("latin-1")
    found = _HEADER.fullmatch(text)
    if found is None:
        raise ValueError(f"an array has the header {text[:80]!r}; only plain numbers and text are read, never pickles")
    shape = tuple(int(size) for size in re.findall("[0-9]+", found[3]))
    return shape, found[2] == "True", np.dtype(found[1])


def _fill(stream: IO[bytes], flat: NDArray[Any]) -> None:
    target = flat.view(np.uint8).data if flat.size and flat.dtype.itemsize else memoryview(b"")
    done = 0
    while done < len(target):
        got = stream.readinto(target[done:])  # type: ignore[attr-defined]
        if not got:
            raise EOFError("the file ends within an array")
        done += got
    if stream.read(1):
        raise ValueError("bytes follow after an array's end")


@dataclass(frozen=True)
class ArrayKind:
    """What an array must be: its dtype, such as `<f8`, and its shape with None for a length that is free."""

    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join('*' if length is None else str(length) for length in self.shape)})"

    def admits(self, array: NDArray[Any]) -> bool:
        """Whether `array` is of this kind."""
        return (
            array.dtype.str == self.dtype
            and array.ndim == len(self.shape)
            and all(want is None or got == want for got, want in zip(array.shape, self.shape, strict=True))
        )


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a compressed .npz file with `arrays`; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    contiguous: dict[str, Any] = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    np.savez_compressed(buffer, allow_pickle=False, **contiguous)
    return buffer.getvalue()


def unpack_arrays(
    data: bytes, kinds: Mapping[str, ArrayKind], title: str, refuse: type[GuardError]
) -> dict[str, NDArray[Any]]:
    """The arrays in the bytes of an .npz file that holds exactly `kinds`, at most 1 GiB unpacked.

    Raises `refuse` as `read_arrays` does, and when an array is not of its kind.
    """
    names = array_names(io.BytesIO(data), title, refuse)
    if sorted(names) != sorted(kinds):
        shown = [name[:60] for name in names[:8]]
        raise refuse(f"{title}: it must hold exactly the arrays {sorted(kinds)}, but holds {shown}; {_AGAIN}")
    arrays = read_arrays(io.BytesIO(data), names, title, refuse, max_bytes=_MAX_PART_BYTES)
    for name, kind in kinds.items():
        if not kind.admits(arrays[name]):
            found = f"{arrays[name].dtype.str} {arrays[name].shape}"
            raise refuse(f"{title}: array {name!r} is {found}, expected {kind}; {_AGAIN}")
    return arrays
