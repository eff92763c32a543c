"""Records with header names that are no UTF-8: read with the name escaped, where aiokafka fails on the whole partition.

Brokers do not look into header names. One such record would end the guard at each start, and with it all that stands
behind it in its partition: anybody who may write to the input could stop the stream for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

__all__ = ["LenientRecords", "read_leniently"]


_OVERHEAD = 12
"""A batch begins with its base offset (8 bytes) and its length after these 12 (4 bytes, big-endian)."""


def read_leniently() -> None:
    """Lets aiokafka's consumers of this process read through `LenientRecords`."""
    fetcher.MemoryRecords = LenientRecords


class LenientRecords:
    """What one fetch gave for a partition: aiokafka's `MemoryRecords`, whose batches survive hostile header names."""

    def __init__(self, data: bytes) -> None:
        self._records = MemoryRecords(data)
        self._data = data
        self._at = 0

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        found: bool = self._records.has_next()
        return found

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
    """A batch of aiokafka's, read again slowly from the first record on that it cannot read."""

    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        count = 0
        try:
            for record in self._batch:
                yield record
                count += 1
        except UnicodeDecodeError:
            yield from islice(_read_slowly(self._data), count, None)


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
