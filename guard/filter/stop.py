"""SIGINT and SIGTERM: the window in flight is finished and written first; a wait for input ends at once."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType

from guard.errors import GuardError

__all__ = ["Stop", "Stopped"]


class Stopped(GuardError):
    """The run was asked to stop. What was done is written; the message says how to go on."""


class Stop:
    """Within this context the two signals set `asked` to their name instead of ending the process.

    Only for the main thread, as Python's signals are. Outside the context nothing is ever asked.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stop:
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(-1)
        os.close(self._woken)
        os.close(self._wake)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.asked = signal.Signals(number).name

    def read(self, descriptor: int, size: int) -> bytes:
        """At most `size` bytes as soon as there are any, b"" at the end of the input.

        Raises Stopped when asked to stop while waiting; no byte that was read is lost by it.
        """
        ready, _, _ = select.select([descriptor, self._woken], [], [])
        if self._woken in ready:
            raise Stopped("asked to stop")
        return os.read(descriptor, size)
