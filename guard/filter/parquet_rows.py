"""Parquet in constant memory, one row group's batches at a time. Positions count rows. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guard.errors import InputUnreadable, MissingRuntime
from guard.filter.reader import Window
from guard.filter.rows import Columns, RowEncoder
from guard.spec import InputSpec

__all__ = ["ParquetRows"]

_WINDOW_ROWS = 1024
_MAX_GROUP_BYTES = 1 << 30
"""Bytes that one row group may unpack to: it is the part of the file that a reader may have to hold."""


class ParquetRows:
    """The rows of a Parquet file. Null and NaN are gaps.

    Raises MissingRuntime without pyarrow, InputUnreadable when the file is damaged or does not fit the specification.
    """

    def __init__(self, path: Path, spec: InputSpec, columns: Columns) -> None:
        self._path = path
        arrow, parquet = _import_pyarrow()
        with _damage_named(path):
            self._file = parquet.ParquetFile(path)
            schema, metadata = self._file.schema_arrow, self._file.metadata
            self._groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        self._names = [name for name in schema.names if name not in columns.drop]
        self._encoder = RowEncoder(spec, self._names, columns, str(path))
        for name in self._names:
            _require_cells(arrow, name, schema.field(name).type, path)
        if any(group.total_byte_size > _MAX_GROUP_BYTES for group in self._groups):
            raise InputUnreadable(
                f"{path}: a row group unpacks to over {_MAX_GROUP_BYTES} bytes. Write smaller groups."
            )
        self.total: int | None = metadata.num_rows

    def windows(self, start: int) -> Iterator[Window]:
        """See `Reader`."""
        end = 0
        for index, group in enumerate(self._groups):
            if end + group.num_rows <= start:
                end += group.num_rows
                continue
            for rows in self._batches(index):
                end += len(rows)
                if end > start:
                    yield Window([self._encoder.line(row) for row in rows], end)

    def _batches(self, group: int) -> Iterator[list[tuple[Any, ...]]]:
        with _damage_named(self._path):
            for batch in self._file.iter_batches(_WINDOW_ROWS, row_groups=[group], columns=self._names):
                yield list(zip(*(batch.column(name).to_pylist() for name in self._names), strict=True))


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingRuntime(
            f"Parquet is read by pyarrow, which cannot be imported ({error}): pip install 'pyarrow>=26,<27'"
        ) from error
    return pyarrow, pyarrow.parquet


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Every error of pyarrow is an OSError, a ValueError or one of the built-in kinds that it shares."""
    try:
        yield
    except (OSError, ValueError, TypeError, RuntimeError, LookupError, OverflowError, MemoryError) as error:
        raise InputUnreadable(f"{path} is not a sound Parquet file ({error}). Write it again.") from error


def _require_cells(arrow: Any, name: str, kind: Any, path: Path) -> None:
    kind = kind.value_type if arrow.types.is_dictionary(kind) else kind
    kinds = ("boolean", "integer", "floating", "decimal", "string", "large_string", "null")
    if not any(getattr(arrow.types, f"is_{known}")(kind) for known in kinds):
        raise InputUnreadable(
            f"{path}: column {name!r} holds {kind}. Make it numbers or text, or leave it out with --drop {name!r}."
        )
