"""Batches that expand too far are not opened, in whatever codec; those beside them are read as ever."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import cramjam
import pytest
from aiokafka.record import default_records
from aiokafka.record._crecords import default_records as compiled
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from guard.stream import expansion
from guard.stream.expansion import Unopened, bound_expansion
from guard.stream.lenient import LenientRecords

LIMIT = 1 << 20
CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
DECODERS = ("gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode")


@pytest.fixture(autouse=True)
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (default_records, compiled):
        for name in DECODERS:
            monkeypatch.setattr(module, name, getattr(module, name))  # put back at the end
    monkeypatch.setattr(expansion, "_buffer", bytearray())
    monkeypatch.setattr("guard.stream.lenient.EXPANDED_BYTES", LIMIT)
    bound_expansion(LIMIT)


def batch(codec: str, *values: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, -1, -1, 0, 1 << 30)
    for number, value in enumerate(values):
        builder.append(number, 1000 + number, b"k", value, [])
    return bytes(builder.build())


def values(records: LenientRecords) -> list[bytes]:
    found = []
    while records.has_next():
        found += [record.value for record in records.next_batch()]
    return found


@pytest.mark.parametrize("codec", CODECS)
def test_batches_within_the_limit_are_read(codec: str) -> None:
    content = [b"a" * 1000, b"b" * (LIMIT // 2)]
    assert values(LenientRecords(batch(codec, *content))) == content


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_a_bomb_is_not_opened_and_keeps_its_offsets(codec: str) -> None:
    data = batch(codec, b"before") + batch(codec, bytes(LIMIT), b"beside") + batch(codec, b"behind")
    records = LenientRecords(data)
    assert values(records) == [b"before", b"", b"", b"behind"]
    closed = list(list(batches(LenientRecords(data)))[1])
    assert [(record.offset, record.key, record.headers) for record in closed] == [(0, None, ()), (1, None, ())]
    assert all(type(record.value) is Unopened for record in closed)


def batches(records: LenientRecords) -> Iterator[object]:
    while records.has_next():
        yield records.next_batch()


def test_of_many_large_batches_only_as_many_are_opened_as_fit_together() -> None:
    large = batch("zstd", bytes(LIMIT * 3 // 4))
    assert len(values(LenientRecords(large * 5))) == 2


def test_damage_is_still_damage() -> None:
    assert compiled.gzip_decode(gzip.compress(b"sound")) == b"sound"
    with pytest.raises(cramjam.DecompressionError):
        compiled.zstd_decode(b"no zstd at all")
