"""A file that is replaced whole or not at all, and is on disk when the call returns."""

from __future__ import annotations

import os
from pathlib import Path

from guard.errors import OutputFailed

__all__ = ["fsync_folder", "write_whole"]


def write_whole(path: Path, content: bytes, draft: str | None = None) -> None:
    """Put `content` in place of `path`. A kill leaves the old file or the new one. Raises OutputFailed.

    `draft`: the name that it has beside `path` until it is whole; a dot before the file's own name where None.
    """
    beside = path.with_name(draft or f".{path.name}.draft")
    try:
        beside.unlink(missing_ok=True)
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror}. Make room or allow writing.") from error


def fsync_folder(path: Path) -> None:
    """What was made, renamed or removed in the folder `path` outlives a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
