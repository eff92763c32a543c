"""Ends a guard that does not work any more, so that whoever runs it starts a new one.

Faust's consumers were seen to stop fetching without an error, and a group that denies access is never told. The
watchdog is a thread of its own: it also sees an event loop that hangs.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

import structlog

from guard.errors import GuardError

__all__ = ["Patience", "Stalled", "Watchdog"]

_LOG = structlog.get_logger("guard.watchdog")

_TICK_SECONDS = 0.5
_LONGEST_TICK = 2.0
"""What a tick counts at most: after SIGSTOP, or on a machine that slept, the loop gets its time again."""

_LOOP_SECONDS = 30.0
"""An event loop that has not run for so long hangs: its longest step, building a batch, takes some .01 s."""

_LEAVE_SECONDS = 10.0
"""From asking for an orderly end to ending at once: what a crash needs to leave its group, 2.5 s, with room."""


class Stalled(GuardError):
    """The guard does not become ready, or does not get on; what it had not acknowledged is read again."""


class Patience:
    """How long something has not changed, in time in which this process ran."""

    def __init__(self, seconds: float) -> None:
        self.limit = seconds
        self.waited = 0.0

    def renew(self) -> None:
        """It changed."""
        self.waited = 0.0

    def wait(self, seconds: float) -> bool:
        """Add a tick. True when patience is at its end."""
        self.waited += min(seconds, _LONGEST_TICK)
        return self.waited > self.limit


class Watchdog:
    """Counts down until it is told of life. `leave` is called from its thread, with the reason; then the process ends.

    `why_not_ready` gives the reason, or None once the guard is ready.
    """

    def __init__(
        self,
        leave: Callable[[Stalled], None],
        why_not_ready: Callable[[], str | None],
        *,
        stall_seconds: float,
        ready_seconds: float,
    ) -> None:
        self._leave = leave
        self._why_not_ready = why_not_ready
        self._loop = Patience(_LOOP_SECONDS)
        self._progress = Patience(stall_seconds)
        self._ready: Patience | None = Patience(ready_seconds)
        self._end: Patience | None = None

    def start(self) -> None:
        """Watch from a daemon thread, for as long as the process lives."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """The event loop runs."""
        self._loop.renew()

    def progress(self) -> None:
        """A batch was finished, or there is nothing to do."""
        self._progress.renew()

    def ending(self, seconds: float = _LEAVE_SECONDS) -> None:
        """The process is about to end; after `seconds` it is ended, whatever hangs."""
        if self._end is None:
            self._end = Patience(seconds)

    def look(self, seconds: float) -> str | None:
        """What is wrong after another `seconds`, or None."""
        if self._end is not None:
            return "the guard did not come to its end in time" if self._end.wait(seconds) else None
        if self._loop.wait(seconds):
            return f"the event loop has not run for {self._loop.waited:.0f} s"
        if self._progress.wait(seconds):
            return f"records are waiting, and no batch was finished for {self._progress.waited:.0f} s"
        if self._ready is not None:
            reason = self._why_not_ready()
            if reason is None:
                self._ready = None
            elif self._ready.wait(seconds):
                return f"not ready after {self._ready.waited:.0f} s: {reason}. Run: depois guard check"
        return None

    def _watch(self) -> None:
        before = time.monotonic()
        while True:
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            reason = self.look(now - before)
            before = now
            if reason is None:
                continue
            if self._end is not None:
                _LOG.error("ended at once", reason=reason)
                logging.shutdown()
                os._exit(1)
            self.ending()
            self._leave(Stalled(f"{reason}. What was not acknowledged is read again after a restart."))
