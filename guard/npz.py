"""Reads arrays out of a hostile .npz file: no pickle, no zip bomb, nothing allocated before its size is proven."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from guard.errors import GuardError

__all__ = ["MAX_BYTES", "array_names", "read_arrays"]

MAX_BYTES = 4 << 30
"""Bytes that all arrays of one file may unpack to: a 40 kB zip bomb can claim terabytes."""

_MAX_HEADER = 4096
_KINDS = frozenset("biufUS")
_DAMAGED = (
    *(ValueError, TypeError, EOFError, OSError, MemoryError),  # headers and data that contradict themselves
    *(zipfile.BadZipFile, zlib.error, RuntimeError),  # bad checksums; encrypted, nested or unknown kinds of members
)


def array_names(source: Path | IO[bytes], title: str, refuse: type[GuardError]) -> list[str]:
    """Names of the arrays in `source`, without reading them. Raises `refuse` when it is no zip file."""
    try:
        with zipfile.ZipFile(source) as archive:
            return [_array_name(member) for member in archive.infolist()]
    except _DAMAGED as broken:
        raise refuse(f"{title} is not a readable .npz file ({broken}); write it again with numpy.savez") from broken


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
    except _DAMAGED as broken:
        reason = str(broken) or type(broken).__name__
        raise refuse(f"{title}: {reason}; get the file again from where it was made") from broken


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
        shape, fortran, dtype = _header(stream)
        name = _array_name(member)
        if dtype.hasobject or dtype.kind not in _KINDS:
            raise ValueError(f"array {name!r} has dtype {dtype}; only plain numbers and text are read, never pickles")
        if math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
            raise ValueError(f"array {name!r} says shape {shape}, but holds another number of bytes")
        flat = np.empty(math.prod(shape), dtype)
        _fill(stream, flat)
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream, max_header_size=_MAX_HEADER)
    if any(size < 0 for size in shape):
        raise ValueError(f"an array says shape {shape}")
    return shape, fortran, dtype


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
