"""Bounds what compressed batches expand to: a sender's few kilobytes must not take the memory of the guard.

A megabyte of zstd holds gigabytes of zeros, and brokers pass it on as it is. A batch that expands to more than the
limit is not opened: each of its records is there, with its offset and no content. And of one fetch only so many batches
are opened as fit the limit together; the others are fetched again.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from typing import Any

import cramjam
from aiokafka.record import default_records
from aiokafka.record._crecords import default_records as compiled

__all__ = ["EXPANDED_BYTES", "ExpandsTooFar", "Unopened", "bound_expansion", "expanded_bytes"]

EXPANDED_BYTES = 32 << 20
"""Far above what producers put into a batch, which they measure before compression: 16 KiB by default, 1 MiB at most
where they are tuned. With 4 lists queued, a partition can cost the guard a few times as much, and no more."""


class ExpandsTooFar(Exception):
    """A batch is larger than the limit once it is open."""


class Unopened(bytes):
    """The value of a record whose batch was not opened: empty, and known by its type."""

    __slots__ = ()


_expanded = 0
_buffer = bytearray()


def expanded_bytes() -> int:
    """How much was expanded since the start of the process. Only the thread that fetches counts and asks."""
    return _expanded


def bound_expansion(limit: int = EXPANDED_BYTES) -> None:
    """Lets aiokafka's consumers of this process open no batch beyond `limit` bytes."""
    global _buffer
    _buffer = bytearray(limit)  # one for all batches: untouched pages of it cost nothing
    readers: dict[str, Callable[[bytes], bytes]] = {
        "gzip_decode": _gzip,
        "zstd_decode": lambda data: _into(cramjam.zstd, data),
        "lz4_decode": lambda data: _into(cramjam.lz4, data),
    }
    for name, reader in readers.items():
        for module in (default_records, compiled):
            setattr(module, name, _counted(reader))
    for module in (default_records, compiled):
        # Snappy makes at most 1 of 21 bytes: it is counted, and needs no bound of its own.
        module.snappy_decode = _counted(_SNAPPY)


_SNAPPY: Callable[[bytes], bytes] = default_records.snappy_decode


def _counted(reader: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def read(data: bytes) -> bytes:
        global _expanded
        found = reader(data)
        _expanded += len(found)
        return found

    return read


def _gzip(data: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as opened:
        found = opened.read(len(_buffer) + 1)
    if len(found) > len(_buffer):
        raise ExpandsTooFar
    return found


def _into(codec: Any, data: bytes) -> bytes:
    try:
        size = codec.decompress_into(data, _buffer)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            raise ExpandsTooFar from error
        raise
    return bytes(memoryview(_buffer)[:size])
