"""Every change of what serves, one line of JSON each, written and on disk before it happens.

The order is that of the lines, and each has a number: a clock that jumps changes nothing. A line that a kill cut off
was never followed by its change; it stays, and is counted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from guard.document import Document, Line, Sha256, Time
from guard.errors import OutputFailed, RegistryRefused
from guard.whole_file import fsync_folder

__all__ = ["Change", "Entry", "History", "append_entry", "read_history"]

Change = Literal["promoted", "rolled_back", "found"]
"""`found`: `current` named another version than the entry before says, because that change was cut off or by hand."""

_Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Entry(Document):
    """One change: from the version that served to the one that does; null where there was none.

    `digest`: that of the new bundle; `gate`: seal of the gate that was shown. `forced`: it was promoted in spite of the
    `objections`. `time` is the clock of whoever did it, for people.
    """

    format_version: Literal[1] = 1
    number: int = Field(ge=1)
    time: Time
    change: Change
    by: Line
    why: Line
    from_version: _Version | None
    to_version: _Version | None
    digest: Sha256 | None = None
    gate: Sha256 | None = None
    forced: bool = False
    objections: tuple[Line, ...] = ()


@dataclass(frozen=True)
class History:
    """What is there, oldest first; `unreadable` lines are no entries."""

    entries: Sequence[Entry]
    unreadable: int

    @property
    def last(self) -> Entry | None:
        """The latest change."""
        return self.entries[-1] if self.entries else None

    @property
    def next_number(self) -> int:
        """The number of the entry to come."""
        return max((entry.number for entry in self.entries), default=0) + 1

    def promotion(self, version: str) -> Entry | None:
        """The latest promotion of `version`."""
        return next((e for e in reversed(self.entries) if e.change == "promoted" and e.to_version == version), None)


def read_history(path: Path) -> History:
    """The history in the file `path`; none where there is no file. Raises RegistryRefused."""
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise RegistryRefused(f"{path} cannot be read ({error.strerror}); allow reading") from error
    found = [_parse(line) for line in lines]
    return History([entry for entry in found if entry is not None], found.count(None))


def append_entry(path: Path, entry: Entry) -> None:
    """Adds a line, whole and on disk, or leaves the file as it is. Raises OutputFailed."""
    handle = None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        length = os.fstat(handle).st_size
        line = entry.model_dump_json().encode() + b"\n"
        cut_off = length > 0 and os.pread(handle, 1, length - 1) != b"\n"
        try:
            _write_all(handle, b"\n" * cut_off + line)
            os.fsync(handle)
            fsync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                os.ftruncate(handle, length)
            raise
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror}. Make room or allow writing.") from error
    finally:
        if handle is not None:
            os.close(handle)


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _parse(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line, strict=True)
    except ValidationError:
        return None
