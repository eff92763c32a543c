"""Records with header names that are no UTF-8: read with the name escaped, where aiokafka fails on the whole partition.

Brokers do not look into header names. One such record would end the guard at each start, and with it all that stands
behind it in its partition: anybody who may write to the input could stop the stream for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

from guard.stream.expansion import EXPANDED_BYTES, ExpandsTooFar, Unopened, bound_expansion, expanded_bytes

__all__ = ["LenientRecords", "read_leniently"]


_OVERHEAD = 12
"""A batch begins with its base offset (8 bytes) and its length after these 12 (4 bytes, big-endian)."""


def read_leniently() -> None:
    """Lets aiokafka's consumers of this process read through `LenientRecords`, and open no batch that grows too far."""
    bound_expansion()
    fetcher.MemoryRecords = LenientRecords


class LenientRecords:
    """What one fetch gave for a partition: aiokafka's `MemoryRecords`, whose batches survive hostile content."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = data
        self._at = 0
        self._expanded_before = expanded_bytes()

    def has_next(self) -> bool:
        """Whether there is another whole batch, and room for it: what is left out here will be fetched again."""
        found: bool = self._records.has_next()
        return found and expanded_bytes() - self._expanded_before < EXPANDED_BYTES

    def size_in_bytes(self) -> int:
        """Bytes that were fetched, the broken-off batch at their end included."""
        size: int = self._records.size_in_bytes()
        return size

    def next_batch(self) -> Any:
        """The next batch."""
        start = self._at
        self._at += _OVERHEAD + int.from_bytes(self._data[start + 8 : start + 12])
        return _Batch(self._records.next_batch(), memoryview(self._data)[start : self._at])


class _Batch:
    """A batch of aiokafka's, read again slowly from the first record on that it cannot read.

    A batch that expands too far is not opened: its records have offsets and a time, and no content.
    """

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        """The first record: aiokafka asks so for the kind of a transaction's marker."""
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for record in self._batch:
                yield record
                count += 1
        except UnicodeDecodeError:
            yield from islice(_read_slowly(self._data), count, None)
        except ExpandsTooFar:
            yield from _unopened(self._batch)


class _Closed(NamedTuple):
    """A record that was not read."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: None = None
    value: bytes = Unopened()
    checksum: None = None
    headers: tuple[()] = ()


def _unopened(batch: Any) -> Iterator[_Closed]:
    for offset in range(batch.base_offset, batch.next_offset):
        yield _Closed(offset, batch.max_timestamp, batch.timestamp_type)


def _read_slowly(data: memoryview) -> Any:
    """A reader in plain Python, also of aiokafka's, over bytes whose parts always decode."""
    batch: Any = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()  # noqa: SLF001 – the only place between reading the head and the records
    batch._buffer = _EscapingBytes(batch._buffer)  # noqa: SLF001 – as above
    return batch


class _EscapingBytes(bytearray):
    """Bytes whose parts decode to text whatever they are; only header names are ever decoded."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _EscapingBytes(found) if isinstance(key, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        """As text, each byte that is none as its number."""
        return super().decode(encoding, errors)
