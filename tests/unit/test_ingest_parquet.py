"""Parquet: typed columns keep their type; damaged, oversized and untellable ones are refused."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from guard.errors import GuardError, InputUnreadable, SnapshotRefused, WrongUse
from training.ingest import parquet
from training.ingest.parquet import read_parquet


def packed(names=None, **columns):
    file = io.BytesIO()
    table = pa.table(columns) if names is None else pa.table(list(columns.values()), names=names)
    pq.write_table(table, file)
    return file.getvalue()


def test_each_type_becomes_the_kind_that_a_sample_can_carry():
    raw = packed(
        i=pa.array([1, None, 3], pa.int8()),
        f=pa.array([1.5, np.nan, None], pa.float32()),
        d=pa.array([Decimal("1.25"), None, Decimal(2)], pa.decimal128(10, 2)),
        b=pa.array([True, None, False]),
        s=pa.array(["None", "NA", "b"]),
        c=pa.array(["u", "v", None]).dictionary_encode(),
        e=pa.nulls(3),
        y=[1, 2, 3],
    )
    table = read_parquet(raw, "t.parquet", "y")
    kinds = [column.kind for column in table.columns]
    assert kinds == ["number", "number", "number", "boolean", "category", "category", "number"]
    codes = [column.codes for column in table.columns]
    nan = np.nan
    expected = [[1, nan, 3], [1.5, nan, nan], [1.25, nan, 2], [1, nan, 0], [0, nan, 1], [0, 1, nan], [nan, nan, nan]]
    np.testing.assert_array_equal(codes, expected)
    assert table.columns[4].values == ("None", "b")
    np.testing.assert_array_equal(table.origin, [1, 2, 3])


def test_a_boolean_label_becomes_the_text_that_json_writes():
    label = read_parquet(packed(x=[1, 2, 3], y=[True, None, False]), "t", "y").label
    assert label.values == ("false", "true")
    np.testing.assert_array_equal(label.codes, [1, np.nan, 0])


def test_a_column_that_no_sample_can_carry_is_refused_unless_dropped():
    raw = packed(when=[datetime(2026, 1, 1, tzinfo=UTC)], x=[1], y=[1])
    with pytest.raises(SnapshotRefused, match=r"column 'when' holds timestamp.*--drop when"):
        read_parquet(raw, "t", "y")
    assert [column.name for column in read_parquet(raw, "t", "y", ["when"]).columns] == ["x"]


def test_names_are_checked():
    with pytest.raises(WrongUse, match="--label"):
        read_parquet(packed(x=[1]), "t", None)
    with pytest.raises(SnapshotRefused, match="no column 'y'"):
        read_parquet(packed(x=[1]), "t", "y")
    with pytest.raises(SnapshotRefused, match="twice"):
        read_parquet(packed(names=["x", "x", "y"], a=[1], b=[2], c=[3]), "t", "y")


def test_a_file_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(parquet, "MAX_BYTES", 1000)
    with pytest.raises(InputUnreadable, match="would unpack to"):
        read_parquet(packed(x=np.zeros(10_000), y=np.zeros(10_000)), "t", "y")


def test_every_damage_is_refused_or_harmless():
    good = packed(x=np.arange(100.0), y=np.arange(100))
    rng = np.random.default_rng(0)
    for length in range(0, len(good), 61):
        with pytest.raises(GuardError, match="t"):
            read_parquet(good[:length], "t", "y")
    for offset in rng.choice(len(good), 100, replace=False):
        bad = bytearray(good)
        bad[offset] ^= 0xFF
        try:
            read_parquet(bytes(bad), "t", "y")
        except GuardError:
            continue
