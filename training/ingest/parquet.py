"""Reads a Parquet file: numbers, booleans and text; anything else is refused by the column's name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from guard.cells import GAP_CELLS
from guard.errors import InputUnreadable, SnapshotRefused
from guard.npz import MAX_BYTES
from training.ingest.columns import check_names
from training.ingest.raw import RawColumn, RawTable, boolean_column, number_column, text_column

__all__ = ["read_parquet"]


def read_parquet(raw: bytes, title: str, label: str | None, drop: Sequence[str] = ()) -> RawTable:
    """The table in `raw`; `title` names the file in messages.

    Null, NaN and the text of `guard.cells.GAP_CELLS` are gaps, as in the stream; other text is kept to the letter.
    Raises InputUnreadable when the file is damaged or would unpack to more than `guard.npz.MAX_BYTES`, SnapshotRefused
    when `label` or a name in `drop` is not there or a column is of a kind that no sample can carry, WrongUse without a
    label.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(raw))
        label = check_names(file.schema_arrow.names, title, label, drop)
        table = _read(file, title, drop)
    except (pa.ArrowException, OSError) as broken:
        raise InputUnreadable(f"{title} is not a readable Parquet file ({broken}); write it again") from broken
    columns = tuple(_column(name, table[name]) for name in table.column_names if name != label)
    return RawTable(columns, _label(label, table[label]), np.arange(1, table.num_rows + 1))


def _read(file: pq.ParquetFile, title: str, drop: Sequence[str]) -> pa.Table:
    names = file.schema_arrow.names
    groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
    unpacked = max(sum(group.total_byte_size for group in groups), 8 * file.metadata.num_rows * len(names))
    if unpacked > MAX_BYTES:
        raise InputUnreadable(
            f"{title} would unpack to {unpacked:,} bytes, more than {MAX_BYTES:,}; take a sample of it"
        )
    return file.read(columns=[name for name in names if name not in drop])


def _column(name: str, values: pa.ChunkedArray) -> RawColumn:
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if pa.types.is_boolean(kind):
        return boolean_column(name, values.to_pylist())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return text_column(name, [None if text in GAP_CELLS else text for text in values.to_pylist()])
    if pa.types.is_null(kind):
        return number_column(name, np.full(len(values), np.nan))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return number_column(name, values.cast(pa.float64(), safe=False).to_numpy())
    raise SnapshotRefused(f"column {name!r} holds {kind}; make it numbers or text, or leave it out with --drop {name}")


def _label(name: str, values: pa.ChunkedArray) -> RawColumn:
    """A label is text or a number in the wire format: true and false become the text that JSON writes."""
    column = _column(name, values)
    if column.kind == "boolean":
        return text_column(name, [None if np.isnan(code) else ("false", "true")[int(code)] for code in column.codes])
    return column
