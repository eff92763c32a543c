"""Rows of the stream beside the trusted ones: read as the guard reads them, their labels looked at by nobody."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from guard.decode import Decoded, Decoder, record_limit
from guard.errors import InputUnreadable
from guard.filter.csv_rows import CsvRows
from guard.filter.lines import FileLines
from guard.filter.npz_rows import NpzRows
from guard.filter.parquet_rows import ParquetRows
from guard.filter.reader import Piece, Reader, Window, numbered
from guard.filter.rows import Columns
from guard.rejection import Rejection
from guard.sample import IDENTIFIER_LENGTH
from guard.spec import ClassLabel, ImageInput, InputSpec
from training.findings import LISTED_ROWS, Finding
from training.ingest.image_folder import IMAGE_SUFFIXES
from training.snapshot import Snapshot
from training.split import row_keys

__all__ = ["COUNTS", "MOST_ROWS", "Unlabelled", "new_rows", "read_unlabelled"]

COUNTS = ("records", "malformed", "unknown", "trusted", "repeated")
"""The numbers of an `Unlabelled`, in the order in which they are told."""

MOST_ROWS = 20_000
"""Distinct rows that are kept of a stream of any length. On 28 × 28 images they take 63 MB as 32-bit numbers."""

_MOST_BYTES = 1 << 30
_DECODED_AT_ONCE = 1024
_LINES = frozenset({"", ".jsonl", ".ndjson", ".json", ".log", ".txt"})
_KINDS = ".jsonl, .csv, .parquet or .npz, or a folder of images"


@dataclass(frozen=True)
class Unlabelled:
    """The rows that are kept, and what became of the others.

    `x`: encoded as `guard.spec` says, distinct, none of them equal to a trusted row; `name`, `sha256`: of the file;
    `records`: read; of these `malformed` were no legal sample, `unknown` had a label that the snapshot never held,
    `trusted` equal a trusted row, `repeated` equal another one; where more than `MOST_ROWS` are left, those are drawn.
    """

    x: NDArray[np.float64] | NDArray[np.uint8]
    name: str
    sha256: str
    records: int
    malformed: int
    unknown: int
    trusted: int
    repeated: int
    findings: tuple[Finding, ...]


def read_unlabelled(path: str | Path, snapshot: Snapshot) -> Unlabelled:
    """Reads JSON Lines in the wire format, CSV, Parquet, NPZ or a folder of images under the snapshot's specification.

    Malformed records are left out, named and counted. Columns of a table that the specification does not know, the
    label's among them, are left aside. Of a long stream a uniform sample of the distinct rows is kept: those with
    the smallest keyed hashes, the key taken from the trusted rows, so that no sender can make himself more likely and
    no repetition counts. Raises InputUnreadable when the input is absent, damaged as a whole or does not fit.
    """
    path = Path(path)
    kept = _Kept(snapshot)
    records = (value for _, value in numbered(_reader(path, snapshot.spec), record_limit(snapshot.spec)))
    while batch := list(islice(records, _DECODED_AT_ONCE)):
        kept.add(batch)
    return kept.result(path.resolve().name, _digest(path))


def new_rows(x: NDArray[Any], snapshot: Snapshot) -> NDArray[Any]:
    """The rows that are kept of encoded x (m, …): distinct ones that `snapshot` does not hold, at most `MOST_ROWS`."""
    kept = _Kept(snapshot)
    kept.add_rows(x)
    return kept.x


class _Kept:
    """The rows with the smallest keys so far, and the counts of what was left out."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._decode = Decoder(snapshot.spec).decode
        self._salt = int(snapshot.digest[:15], 16)
        self._known = row_keys(snapshot.x, seed=self._salt)
        self._most = max(min(MOST_ROWS, _MOST_BYTES // snapshot.x[0].nbytes), 1)
        self.x: NDArray[Any] = snapshot.x[:0]
        self._keys = self._known[:0]
        self._counts = Counter(dict.fromkeys(COUNTS, 0))
        self._findings: list[Finding] = []

    def add(self, records: list[bytes]) -> None:
        decoded = self._decode(records)
        self._count(decoded)
        if len(decoded.x):
            self.add_rows(decoded.x)

    def add_rows(self, x: NDArray[Any]) -> None:
        keys = row_keys(x, seed=self._salt)
        new = ~np.isin(keys, self._known)
        keys, first = np.unique(np.concatenate([self._keys, keys[new]]), return_index=True)
        self._counts.update(trusted=int((~new).sum()), repeated=len(self._keys) + int(new.sum()) - len(keys))
        self.x, self._keys = np.concatenate([self.x, x[new]])[first[: self._most]], keys[: self._most]

    def _count(self, decoded: Decoded) -> None:
        numbered = enumerate(decoded.heads, self._counts["records"] + 1)
        faults = [(number, head) for number, head in numbered if isinstance(head, Rejection)]
        self._findings += [_left_out(*fault) for fault in faults[: LISTED_ROWS - len(self._findings)]]
        self._counts.update(records=len(decoded.heads), malformed=len(faults), unknown=len(decoded.unknown))

    def result(self, name: str, sha256: str) -> Unlabelled:
        rest = self._counts["malformed"] - len(self._findings)
        more = Finding("warning", "malformed_row", f"{rest:,} more unlabelled records are no legal samples", count=rest)
        findings = (*self._findings, more) if rest else tuple(self._findings)
        return Unlabelled(self.x, name, sha256, **self._counts, findings=findings)


def _left_out(number: int, fault: Rejection) -> Finding:
    text = f"unlabelled record {number} left out: {fault.reason}: {fault.detail}"
    return Finding("warning", "malformed_row", text, rows=(number,), count=1)


def _reader(path: Path, spec: InputSpec) -> Reader:
    kind = path.suffix.lower()
    if path.is_dir():
        return _ImageFiles(path, spec)
    if not path.is_file():
        raise InputUnreadable(f"{path} is no file that can be read twice. Name one: {_KINDS}.")
    if kind == ".csv":
        return CsvRows(path, spec, _columns(_csv_header(path), spec, path))
    if kind in {".parquet", ".pq"}:
        return ParquetRows(path, spec, _columns(_parquet_header(path), spec, path))
    if kind == ".npz":
        return NpzRows(path, spec, path.name)
    if kind not in _LINES:
        raise InputUnreadable(f"{path} ends in {kind!r}, which no reader knows. Give {_KINDS}.")
    return FileLines(path, record_limit(spec))


def _columns(header: list[str], spec: InputSpec, path: Path) -> Columns:
    """Only the columns that the specification knows."""
    known = set() if isinstance(spec.input, ImageInput) else {column.name for column in spec.input.columns}
    return Columns(None, None, path.name, frozenset(header) - known)


def _csv_header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, csv.Error) as broken:
        raise InputUnreadable(f"{path} cannot be read ({broken}). Save it as CSV with a header line.") from broken


def _parquet_header(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as broken:
        raise InputUnreadable(f"{path} is not a sound Parquet file ({broken}). Write it again.") from broken


class _ImageFiles:
    """The PNG and JPEG files in a folder and in its subfolders, whatever these are called, as records."""

    def __init__(self, path: Path, spec: InputSpec) -> None:
        if not isinstance(spec.input, ImageInput):
            raise InputUnreadable(f"{path} is a folder, but the snapshot holds a table. Name a file.")
        self._files = _image_files(path)
        if not self._files:
            raise InputUnreadable(f"{path} holds no PNG or JPEG file. Name a folder that does.")
        self._head: dict[str, Any] = {"source": path.name[:IDENTIFIER_LENGTH] or "folder", "label": _any_label(spec)}
        self.total: int | None = len(self._files)

    def windows(self, start: int) -> Iterator[Window | Piece]:
        """See `Reader`."""
        for position, file in enumerate(self._files[start:], start + 1):
            encoding = "png" if file.suffix.lower() == ".png" else "jpeg"
            image = {"encoding": encoding, "data": _bytes(file)}
            yield Window([msgspec.json.encode({**self._head, "image": image})], position)


def _any_label(spec: InputSpec) -> str | int | float:
    return spec.label.values[0] if isinstance(spec.label, ClassLabel) else spec.label.minimum


def _image_files(path: Path) -> list[Path]:
    found = sorted([*path.glob("*"), *path.glob("*/*")])
    return [
        file
        for file in found
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as broken:
        raise InputUnreadable(f"{file} cannot be read: {broken.strerror}. Check its permissions.") from broken


def _digest(path: Path) -> str:
    """SHA-256 of the file, or over the names and contents of a folder's images."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for image in _image_files(path):
        digest.update(f"{image.relative_to(path).as_posix()}\0".encode() + hashlib.sha256(_bytes(image)).digest())
    return digest.hexdigest()
