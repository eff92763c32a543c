"""The folder of a registry: what stands where, and that nothing in it points elsewhere.

`versions/<version>/` are bundles, never changed; `gates/<version>.json` is the gate by which one was promoted last;
`current` is a symbolic link to the version that serves; `history.jsonl` says how that came about; `lock` is held by
whoever changes something. Whoever may write into it decides what serves, so that right is for operators alone. What is
read is checked all the same: a folder or file that is a link is refused, and a `current` that leads elsewhere as well.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from guard.errors import OutputFailed, RegistryRefused
from guard.terminal import printable
from guard.whole_file import fsync_folder

__all__ = ["Layout"]

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_VERSIONS, _GATES, _CURRENT, _HISTORY, _LOCK = "versions", "gates", "current", "history.jsonl", "lock"
_LINK_DRAFT = ".current.draft"


@dataclass(frozen=True)
class Layout:
    """The paths of one registry. Make one with `Layout.existing` or `Layout.made`; `path` holds no links."""

    path: Path

    @classmethod
    def existing(cls, path: Path) -> Self:
        """The registry in the folder `path`. Raises RegistryRefused where there is none, or one that is not sound."""
        found = cls(_resolved(path))
        if not _is(found.versions, stat.S_ISDIR):
            raise RegistryRefused(
                f"{_shown(path)}: there is no registry; name the folder of one, or make it with `depois promote`"
            )
        found._refuse_strange()
        return found

    @classmethod
    def made(cls, path: Path) -> Self:
        """The same, made where the folder is absent or empty. Raises RegistryRefused or OutputFailed."""
        found = cls(_resolved(path))
        try:
            found.path.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(found.versions) and any(found.path.iterdir()):
                raise RegistryRefused(
                    f"{_shown(path)}: it holds other things and no registry; name a registry or a new folder"
                )
            found.versions.mkdir(exist_ok=True)
            found._refuse_strange()
            found.gates.mkdir(exist_ok=True)
        except OSError as error:
            raise _not_written(path, error) from error
        return cls.existing(path)

    @property
    def versions(self) -> Path:
        """The folder of all versions."""
        return self.path / _VERSIONS

    @property
    def gates(self) -> Path:
        """The folder of all gates."""
        return self.path / _GATES

    @property
    def history(self) -> Path:
        """The file of all changes."""
        return self.path / _HISTORY

    def version(self, name: str) -> Path:
        """The folder of one version. Raises RegistryRefused for a name that none can have."""
        if not _VERSION.fullmatch(name):
            raise RegistryRefused(f"{printable(name)!r} is no name of a version; see `depois registry list`")
        return self.versions / name

    def holds(self, name: str) -> bool:
        """Whether the version is there, as a folder of its own. Raises RegistryRefused where it is anything else."""
        path = self.version(name)
        if os.path.lexists(path) and not _is(path, stat.S_ISDIR):
            raise RegistryRefused(f"{_shown(path)} is no folder: somebody else made it; see who did, and move it away")
        return os.path.lexists(path)

    def names(self) -> list[str]:
        """The versions that are there, by name."""
        return sorted(entry.name for entry in self.versions.iterdir() if _VERSION.fullmatch(entry.name))

    def current(self) -> str | None:
        """The version that `current` names; None where there is no such link yet. Raises RegistryRefused."""
        try:
            target = str((self.path / _CURRENT).readlink())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RegistryRefused(f"{_shown(self.path)}/current cannot be read ({error.strerror})") from error
        folder, _, name = target.partition("/")
        if folder != _VERSIONS or not _VERSION.fullmatch(name) or not _is(self.versions / name, stat.S_ISDIR):
            raise RegistryRefused(
                f"{_shown(self.path)}/current leads to {printable(target)!r}, which is no version of the registry; "
                "see who changed it; then choose one with `depois rollback --to VERSION`, or remove the link"
            )
        return name

    def switch(self, name: str) -> None:
        """Lets `current` name another version, in one step. Raises OutputFailed; then it names what it named."""
        draft = self.path / _LINK_DRAFT
        try:
            draft.unlink(missing_ok=True)
            draft.symlink_to(f"{_VERSIONS}/{name}")
            draft.replace(self.path / _CURRENT)
            fsync_folder(self.path)
        except OSError as error:
            raise _not_written(self.path, error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps all others from changing the registry. Raises RegistryRefused when somebody else does just now."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(self.path / _LOCK, flags, 0o644)
        except OSError as error:
            raise _not_written(self.path, error) from error
        try:
            _take(handle, self.path)
            yield
        finally:
            os.close(handle)

    def sweep(self) -> None:
        """Removes versions that a kill left half-written. They never had a name by which they could serve."""
        for draft in self.versions.glob(".*"):
            if _is(draft, stat.S_ISDIR):
                with suppress(OSError):
                    draft.chmod(0o755)
                shutil.rmtree(draft, ignore_errors=True)

    def _refuse_strange(self) -> None:
        """Refuses a part that is not the kind of thing that it must be."""
        parts = {_VERSIONS: stat.S_ISDIR, _GATES: stat.S_ISDIR, _HISTORY: stat.S_ISREG, _LOCK: stat.S_ISREG}
        for name, kind in {**parts, _CURRENT: stat.S_ISLNK}.items():
            if os.path.lexists(self.path / name) and not _is(self.path / name, kind):
                raise RegistryRefused(
                    f"{_shown(self.path)}/{name} is not what a registry has under this name: somebody else made it; "
                    "see who did, and move it away"
                )


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links is either, by the version of Python
        raise RegistryRefused(f"{_shown(path)} leads nowhere ({error}); name a folder") from error


def _take(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RegistryRefused(
            f"{_shown(path)}: somebody else promotes or rolls back just now; nothing was changed. "
            "See `depois registry history` when it is done, and decide again."
        ) from error


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether `path` itself, and not what it may lead to, is of the `kind`."""
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False


def _not_written(path: Path, error: OSError) -> OutputFailed:
    return OutputFailed(f"{_shown(path)} cannot be written: {error.strerror}. Make room or allow writing.")


def _shown(path: Path) -> str:
    return printable(str(path))
