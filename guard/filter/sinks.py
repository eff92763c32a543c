"""The output files: appended in large writes, put on disk at each checkpoint, cut back to it when a run is resumed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType

from guard.errors import OutputFailed

__all__ = ["CLEAN", "OUTPUTS", "QUARANTINE", "REJECTED", "VERDICTS", "Sink", "Sinks"]

CLEAN = "clean.jsonl"
QUARANTINE = "quarantine.jsonl"
REJECTED = "rejected.jsonl"
VERDICTS = "verdicts.jsonl"
OUTPUTS = (CLEAN, QUARANTINE, REJECTED, VERDICTS)
"""Every file that grows during a run. Each record of the input ends in exactly one of the first three."""


class Sink:
    """One output file, open for appending behind `length` bytes that are known to be right.

    Lines are gathered in memory and written by `flush` in one piece.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._path = path
        self._waiting: list[bytes] = []
        self.length = length
        try:
            self._file = path.open("r+b" if length else "wb", buffering=0)
            self._cut_back()
        except OSError as error:
            raise _failed(path, error) from error

    def _cut_back(self) -> None:
        if os.fstat(self._file.fileno()).st_size < self.length:
            self._file.close()
            raise OutputFailed(
                f"{self._path} is shorter than the checkpoint says, so something else changed it. "
                "Remove the folder and filter again from the start."
            )
        self._file.truncate(self.length)
        self._file.seek(self.length)

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Append whole lines, each without its LF."""
        self._waiting.extend(lines)

    def add_piece(self, data: bytes, *, last: bool) -> None:
        """Append a part of a line; the last one is closed by LF. Written at once: it may be large."""
        self.flush()
        self._write(data + b"\n" if last else data)

    def flush(self) -> None:
        """Hand all that waits to the operating system. Raises OutputFailed when it does not take it."""
        if self._waiting:
            self._waiting.append(b"")
            self._write(b"\n".join(self._waiting))
            self._waiting.clear()

    def drop(self, size: int) -> None:
        """Take back the last `size` bytes that were written."""
        self.length -= size
        try:
            self._cut_back()
        except OSError as error:
            raise _failed(self._path, error) from error

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                written = self._file.write(rest) or 0
                self.length += written
                rest = rest[written:]
        except OSError as error:
            raise _failed(self._path, error) from error

    def to_disk(self) -> None:
        """Flush, and return only when a power cut would no longer lose it."""
        self.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _failed(self._path, error) from error

    def close(self) -> None:
        """Close the file; what was not flushed is dropped."""
        self._file.close()


class Sinks:
    """All outputs of a run. Leaving the context closes them without writing: `to_disk` says what is kept."""

    def __init__(self, folder: Path, lengths: Mapping[str, int]) -> None:
        self.files: dict[str, Sink] = {}
        try:
            for name in OUTPUTS:
                self.files[name] = Sink(folder / name, lengths.get(name, 0))
        except OutputFailed:
            self._close()
            raise

    def __enter__(self) -> Sinks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for sink in self.files.values():
            sink.close()

    def __getitem__(self, name: str) -> Sink:
        return self.files[name]

    def flush(self) -> None:
        """Write what waits, once per file."""
        for sink in self.files.values():
            sink.flush()

    def to_disk(self) -> dict[str, int]:
        """Put everything on disk and return the length of each file: what a checkpoint may rely on."""
        for sink in self.files.values():
            sink.to_disk()
        return {name: sink.length for name, sink in self.files.items()}


def _failed(path: Path, error: OSError) -> OutputFailed:
    return OutputFailed(f"{path} cannot be written: {error.strerror}. Make room there or allow writing.")
