"""The bundle that serves, the one that waits to replace it, and the shadow beside it.

A bundle at the watched path is verified in full, beside the one that serves, before it may replace it, and replaces it
between two batches. The path may be a link that is switched, as `current` of a registry is: a load opens the folder
once, and reads every file from there. Whatever is wrong with it, the one that serves goes on: there is always a
verified model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Literal, Self

from guard.bundle import Bundle, load_bundle
from guard.errors import BundleRefused, GuardError
from guard.stream.settings import ModelSettings
from guard.stream.shadow import Shadow, ShadowWatcher
from guard.stream.shadow_tally import Pair
from guard.verdict import Verdict

__all__ = ["ReloadOutcome", "Serving", "open_bundle"]

_MAX_ENTRIES = 64
"""Files of a folder that are looked at: a bundle has seven, and a folder of millions must not stop the guard."""

_Look = tuple[tuple[str, int, int, int, int], ...]
"""Name, inode, size and times of each file: what changes when a bundle is written, copied, renamed or linked anew."""


@dataclass(frozen=True)
class ReloadOutcome:
    """What became of a changed bundle. `bundle` is verified, or None where `error` says why it was refused."""

    role: Literal["current", "shadow"]
    bundle: Bundle | None
    error: str | None = None

    @property
    def refused(self) -> bool:
        """Whether the changed bundle is not used."""
        return self.bundle is None


class Serving:
    """Holds the bundles of one guard. Make one with `Serving.open`.

    `current` serves. `judge` belongs to the scoring thread, `poll` to any other one, `swap` between two batches.
    """

    def __init__(
        self,
        watched: _Watched,
        current: Bundle,
        model: ModelSettings,
        max_record_bytes: int | None,
        watcher: ShadowWatcher,
    ) -> None:
        self.current = current
        self._model = model
        self._limit = max_record_bytes
        self._watcher = watcher
        self._candidate: Bundle | None = None
        self._lock = Lock()
        self._watched = watched
        self._refused = False
        self._shadow: Shadow | None = None
        self._watched_shadow = None if model.shadow is None else _Watched(model.shadow)
        self._poll_shadow()

    @classmethod
    def open(
        cls,
        model: ModelSettings,
        *,
        max_record_bytes: int | None = None,
        watcher: ShadowWatcher | None = None,
    ) -> Self:
        """Verifies and loads the bundle, and the shadow; `watcher` is told what the shadow says.

        A shadow that is refused keeps no guard from starting; the first `poll` tells of it. Raises BundleRefused,
        MissingRuntime, and WrongUse for an α that the bundle cannot be used at.
        """
        watched = _Watched(model.bundle)
        current = watched.load(lambda path: open_bundle(path, model, max_record_bytes, pinned=True))
        return cls(watched, current, model, max_record_bytes, watcher or _Nobody())

    @property
    def shadow(self) -> Bundle | None:
        """The bundle that is scored beside the current one."""
        return None if self._shadow is None else self._shadow.bundle

    def judge(self, records: Sequence[bytes]) -> list[Verdict]:
        """One verdict of the current bundle per record, in order; the shadow is offered the same records."""
        bundle = self.current
        verdicts = bundle.judge(records)
        if self._shadow is not None:
            self._shadow.offer(bundle.digest, records, verdicts)
        return verdicts

    def poll(self) -> ReloadOutcome | None:
        """Looks at the watched folders; loads and verifies what has changed. Takes seconds, blocks; never raises.

        A verified bundle waits for `swap`. A refusal is told once, and only when the folder has stayed the same for
        two looks: a bundle that is being copied is not whole yet, and no reason for an alarm.
        """
        return self._poll_bundle() or self._poll_shadow()

    def swap(self) -> Bundle | None:
        """Lets a verified bundle that waits serve from now on, and returns it; None where none waits."""
        with self._lock:
            candidate, self._candidate = self._candidate, None
            if candidate is not None:
                self.current = candidate
            return candidate

    def close(self) -> None:
        """Ends the shadow's thread."""
        if self._shadow is not None:
            self._shadow.close()

    def _poll_bundle(self) -> ReloadOutcome | None:
        found = self._watched.load_changed(self._load_current)
        if found is None:
            return None
        if isinstance(found, str):
            self._refused = True
            return ReloadOutcome("current", None, found)
        with self._lock:
            self._candidate = None if found.digest == self.current.digest else found
            # What serves already is no news, unless something else had been refused since.
            news, self._refused = self._candidate is not None or self._refused, False
        return ReloadOutcome("current", found) if news else None

    def _poll_shadow(self) -> ReloadOutcome | None:
        if self._watched_shadow is None:
            return None
        found = self._watched_shadow.load_changed(
            lambda path: open_bundle(path, self._model, self._limit, pinned=False)
        )
        if found is None:
            return None
        if isinstance(found, str):
            return ReloadOutcome("shadow", None, found)
        if self._shadow is None:
            self._shadow = Shadow(found, self._watcher)
        self._shadow.bundle = found
        return ReloadOutcome("shadow", found)

    def _load_current(self, path: Path) -> Bundle:
        """Refuses a bundle for other samples as well: a folder mixed up would make every record a dead letter."""
        bundle = open_bundle(path, self._model, self._limit, pinned=True)
        was, now = self.current.manifest.spec.samples, bundle.manifest.spec.samples
        if was != now:
            raise BundleRefused(
                f"{path}: it judges {now}, but the guard serves {was}; put the right bundle there, "
                "or restart the guard if its samples have changed"
            )
        return bundle


def open_bundle(path: Path, model: ModelSettings, max_record_bytes: int | None, *, pinned: bool) -> Bundle:
    """Loads and verifies the bundle in `path` as `model` says; `pinned`: it must be the one of `model.sha256`.

    Raises BundleRefused, MissingRuntime, and WrongUse for an α that the bundle cannot be used at.
    """
    return load_bundle(
        path,
        device=model.device,
        alpha=model.alpha,
        boundary=model.boundary,
        sha256=model.sha256 if pinned else None,
        threads=model.threads,
        max_record_bytes=max_record_bytes,
    )


class _Nobody:
    """Is told what the shadow says where nobody wants to know."""

    def shadow(self, pair: Pair, current: Sequence[Verdict], shadow: Sequence[Verdict]) -> None:
        """Nothing to do."""

    def shadow_failed(self, pair: Pair) -> None:
        """Nothing to do."""

    def shadow_skipped(self, pair: Pair, records: int) -> None:
        """Nothing to do."""


class _Watched:
    """A folder, as it was when its bundle was last loaded or refused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Look | None = None
        self._doubted: _Look | None = None

    def load(self, load: Callable[[Path], Bundle]) -> Bundle:
        """What `load` makes of the folder. A change while it is read shows at the next look."""
        look = _look(self._path)
        bundle = load(self._path)
        self._seen = look
        return bundle

    def load_changed(self, load: Callable[[Path], Bundle]) -> Bundle | str | None:
        """The bundle of a folder that has changed, or why it is refused; None where there is no news."""
        look = _look(self._path)
        if look == self._seen:
            return None
        try:
            return self.load(load)
        except Exception as error:  # noqa: BLE001 – whatever a damaged or hostile bundle raises, the current one serves
            settled, self._doubted = look == self._doubted, look
            if not settled:
                return None
            self._seen = look
            return str(error) if isinstance(error, GuardError) else f"{self._path}: {type(error).__name__}: {error}"


def _look(path: Path) -> _Look:
    """Empty where nothing can be seen."""
    found = []
    try:
        with os.scandir(path) as entries:
            for entry in islice(entries, _MAX_ENTRIES):
                stat = entry.stat(follow_symlinks=False)
                found.append((entry.name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    except OSError:
        return ()
    return tuple(sorted(found))
