"""From the word on the command line to a reader: which kind of input it is, and whether it can be read twice."""

from __future__ import annotations

import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.decode import record_limit
from guard.errors import InputUnreadable, WrongUse
from guard.filter.lines import FileLines, PipeLines
from guard.filter.reader import Reader
from guard.filter.rows import Columns
from guard.filter.stop import Stop
from guard.spec import InputSpec

__all__ = ["Samples", "open_samples"]

_LINES = {"", ".jsonl", ".ndjson", ".json", ".log", ".txt"}
_TABLES = {".csv", ".parquet", ".pq"}
_KINDS = ".jsonl, .csv, .parquet, .npz or - for JSON Lines from standard input"


@dataclass(frozen=True)
class Samples:
    """What to filter: a path or `-`; for tables, the columns of label and source and those to leave out."""

    path: str
    label: str | None = None
    source: str | None = None
    drop: Sequence[str] = ()

    @property
    def title(self) -> str:
        """The input in messages and summaries."""
        return "standard input" if self.path == "-" else self.path

    def is_file(self) -> bool:
        """Whether it can be read twice, which resuming needs. Raises InputUnreadable when it is not there."""
        if self.path == "-":
            return False
        try:
            mode = Path(self.path).stat().st_mode
        except OSError as error:
            raise InputUnreadable(f"{self.path} cannot be read: {error.strerror}. Check the path.") from error
        if stat.S_ISDIR(mode):
            raise InputUnreadable(f"{self.path} is a folder. Name a file: {_KINDS}.")
        return stat.S_ISREG(mode)


def open_samples(samples: Samples, spec: InputSpec, stop: Stop) -> Reader:
    """The reader for `samples`, by the name's ending.

    Raises InputUnreadable when the file is absent, of another kind, damaged as a whole or does not fit `spec`, WrongUse
    when it is a table and its label column was not named, MissingRuntime when its kind needs a package.
    """
    if not samples.is_file():
        return _pipe(samples, stop, record_limit(spec))
    path = Path(samples.path)
    kind = path.suffix.lower()
    if kind in _TABLES:
        return _table(path, kind, samples, spec)
    if samples.label or samples.source or samples.drop:
        raise WrongUse(f"--label, --source and --drop are for CSV and Parquet; {path} names its own. Leave them out.")
    if kind == ".npz":
        from guard.filter.npz_rows import NpzRows

        return NpzRows(path, spec, path.name)
    if kind not in _LINES:
        raise InputUnreadable(f"{path} ends in {kind!r}, which no reader knows. Give {_KINDS}; unpack archives first.")
    return FileLines(path, record_limit(spec))


def _pipe(samples: Samples, stop: Stop, limit: int) -> Reader:
    if samples.path == "-":
        if sys.stdin is None:
            raise InputUnreadable("standard input is closed. Send samples into it, or name a file.")
        descriptor = sys.stdin.fileno()
        return PipeLines(lambda size: stop.read(descriptor, size), limit)
    try:
        file = Path(samples.path).open("rb", buffering=0)  # noqa: SIM115 – read until the process ends
    except OSError as error:
        raise InputUnreadable(f"{samples.path} cannot be read: {error.strerror}. Check its permissions.") from error
    return PipeLines(lambda size: stop.read(file.fileno(), size), limit)


def _table(path: Path, kind: str, samples: Samples, spec: InputSpec) -> Reader:
    if samples.label is None:
        raise WrongUse(f"{path} is a table: say which column holds the label, with --label COLUMN.")
    columns = Columns(samples.label, samples.source, path.name, samples.drop)
    if kind == ".csv":
        from guard.filter.csv_rows import CsvRows

        return CsvRows(path, spec, columns)
    from guard.filter.parquet_rows import ParquetRows

    return ParquetRows(path, spec, columns)
