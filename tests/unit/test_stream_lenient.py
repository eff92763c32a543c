from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from guard.stream.lenient import LenientRecords

NONE, GZIP = 0, 1


def batch(names: list[bytes], codec: int = NONE) -> bytes:
    """A batch with one record per header name; names of eight bytes may be no UTF-8."""
    builder = DefaultRecordBatchBuilder(2, NONE, 0, -1, -1, 0, 1 << 20)
    marks = [f"#{number:06d}#" for number in range(len(names))]
    for number, mark in enumerate(marks):
        builder.append(number, 1000 + number, b"k", b"v%d" % number, [(mark, b"\xff"), ("own", None)])
    data = bytearray(builder.build())
    for mark, name in zip(marks, names, strict=True):
        assert len(name) == 8
        data = bytearray(bytes(data).replace(mark.encode(), name))
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
    return bytes(data)


def read(records: Any) -> list[Any]:
    found = []
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        assert one.next_offset == one.base_offset + one.last_offset_delta + 1
        found.append([(r.offset, r.timestamp, r.key, r.value, r.headers) for r in one])
    return found


def test_sound_batches_are_read_as_aiokafka_reads_them() -> None:
    data = batch([b"ordinary", "großes".encode() + b"x"]) + batch([b"another1"]) + b"\x00broken off"
    assert read(LenientRecords(data)) == read(MemoryRecords(data))
    assert LenientRecords(data).size_in_bytes() == len(data)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_hostile_name_is_escaped_and_all_records_around_it_are_read(at: int) -> None:
    names = [b"name-000", b"name-001", b"name-002"]
    names[at] = b"\xff\xfeguard-"
    data = batch([b"before--"]) + batch(names) + batch([b"behind--"])
    with pytest.raises(UnicodeDecodeError):
        read(MemoryRecords(data))
    before, hostile, behind = read(LenientRecords(data))
    assert [record[0] for record in hostile] == [0, 1, 2]
    assert [record[3] for record in hostile] == [b"v0", b"v1", b"v2"]
    assert [record[4][0][0] for record in hostile][at] == "\\xff\\xfeguard-"
    assert all(type(part) is bytes for record in hostile for part in (record[2], record[3], record[4][0][1]))
    assert before[0][4][0][0] == "before--"
    assert behind[0][4][0][0] == "behind--"
