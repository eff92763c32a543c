"""A folder that appears whole or not at all: a killed command leaves no half result that looks like a good one."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guard.errors import OutputFailed

__all__ = ["new_folder", "require_free"]


def require_free(path: Path) -> None:
    """Raises OutputFailed when something is at `path`; an empty folder counts as free. For before long work."""
    if _is_taken(path):
        raise OutputFailed(f"{path} exists already; name another folder or remove it first")


@contextmanager
def new_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder beside `path`; it is renamed to `path` at the end, or removed when the body fails.

    `overwrite`: a folder that is there stays as it is until the new one takes its place. Raises OutputFailed when
    `path` exists already (an empty folder counts as free) and may not be overwritten, or cannot be written.
    """
    taken = _is_taken(path)
    if not (overwrite and path.is_dir()):
        require_free(path)
    draft = _draft(path)
    try:
        yield draft
        _settle(draft)
        _replace(draft, path.absolute()) if taken else draft.rename(path.absolute())
        _to_disk(path.absolute().parent)
    except OSError as broken:
        raise OutputFailed(f"{path} cannot be written: {broken}; free the space or name another folder") from broken
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_taken(path: Path) -> bool:
    return path.exists() and not (path.is_dir() and not any(path.iterdir()))


def _draft(path: Path) -> Path:
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.absolute().parent))
    except OSError as broken:
        raise OutputFailed(f"{path} cannot be created: {broken}; name a folder that may be written") from broken
    draft.chmod(0o755)
    return draft


def _settle(draft: Path) -> None:
    for file in draft.iterdir():
        _to_disk(file)
    _to_disk(draft)


def _replace(draft: Path, path: Path) -> None:
    """Renames `draft` to `path`, where a folder is: that one steps aside, comes back on failure, and goes last."""
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    path.rename(aside / path.name)
    try:
        draft.rename(path)
    except BaseException:
        (aside / path.name).rename(path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
