"""The one entry to all readers: a file or folder of trusted data, its kind told by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.errors import InputUnreadable, WrongUse
from training.ingest.csv import read_csv
from training.ingest.image_folder import IMAGE_SUFFIXES, read_image_folder
from training.ingest.jsonl import read_jsonl
from training.ingest.npz import read_npz
from training.ingest.parquet import read_parquet
from training.ingest.raw import RawInput

__all__ = ["KINDS", "Source", "read_source"]

KINDS: dict[str, Callable[[bytes, str, str | None, Sequence[str]], RawInput]] = {
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".npz": read_npz,
}
"""How a file is read, by the end of its name. A folder holds images, one subfolder per class."""

_MAX_FILE = 4 << 30


@dataclass(frozen=True)
class Source:
    """What was read, and from where: the name without its folder, the size in bytes and the SHA-256 of the content."""

    rows: RawInput
    name: str
    size: int
    sha256: str


def read_source(path: Path, label: str | None = None, drop: Sequence[str] = ()) -> Source:
    """Reads `path` into raw rows.

    `label`: the column that holds the label; CSV and Parquet need it, the other kinds have their own place for it.
    `drop`: columns to leave out. Raises InputUnreadable, SnapshotRefused or WrongUse, naming what to do.
    """
    if path.is_dir():
        return _read_folder(path, label, drop)
    read = KINDS.get(path.suffix.lower())
    if read is None:
        raise InputUnreadable(f"{path} is neither a folder of images nor one of {', '.join(KINDS)}; convert it first")
    raw = _bytes(path)
    rows = read(raw, path.name, label, drop)
    return Source(rows, path.name, len(raw), hashlib.sha256(raw).hexdigest())


def _read_folder(path: Path, label: str | None, drop: Sequence[str]) -> Source:
    if label is not None or drop:
        raise WrongUse("a folder of images has no columns: its subfolders are the labels; leave --label and --drop out")
    files, digest = {}, hashlib.sha256()
    for file in sorted(path.glob("*/*")):
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith("."):
            name = f"{file.parent.name}/{file.name}"
            files[name] = _bytes(file)
            digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    size = sum(map(len, files.values()))
    return Source(read_image_folder(files, path.name), path.resolve().name, size, digest.hexdigest())


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _MAX_FILE:
            raise InputUnreadable(f"{path} has {size:,} bytes, more than {_MAX_FILE:,}; take a sample of its rows")
        return path.read_bytes()
    except OSError as broken:
        raise InputUnreadable(f"{path} cannot be read: {broken.strerror}; name a file that is there") from broken
