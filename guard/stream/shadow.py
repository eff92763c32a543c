"""A second bundle that is scored beside the serving one: nothing is routed by it, and it can fail or delay nothing.

It has a thread of its own and room for one waiting batch. What comes while both are taken is not judged by it: a shadow
that is slower than the stream, or hangs, sees a sample of the batches instead of holding them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from queue import Full, Queue
from threading import Thread
from typing import Protocol

from guard.bundle import Bundle
from guard.stream.shadow_tally import Pair
from guard.verdict import Verdict

__all__ = ["Shadow", "ShadowWatcher"]

_Batch = tuple[str, Sequence[bytes], Sequence[Verdict]]


class ShadowWatcher(Protocol):
    """Who is told what the shadow says; called on the shadow's thread, and for what it skips on the scoring thread.

    `pair`: which two bundles judged.
    """

    def shadow(self, pair: Pair, current: Sequence[Verdict], shadow: Sequence[Verdict]) -> None:
        """Both verdicts on the records of one batch."""

    def shadow_failed(self, pair: Pair) -> None:
        """A batch that the shadow could not judge."""

    def shadow_skipped(self, pair: Pair, records: int) -> None:
        """A batch that was not shown to the shadow, which was busy."""


class Shadow:
    """Judges batches on a thread of its own, as many as it can keep up with."""

    def __init__(self, bundle: Bundle, watcher: ShadowWatcher) -> None:
        self.bundle = bundle
        self._watcher = watcher
        self._waiting: Queue[_Batch | None] = Queue(1)
        # A daemon: a graph that hangs must not keep a guard from ending.
        self._thread = Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def offer(self, digest: str, records: Sequence[bytes], verdicts: Sequence[Verdict]) -> bool:
        """Leave a batch, and what the bundle of `digest` says of it, to the shadow; whether it was taken. Never waits.

        A batch that waits while either bundle is replaced still counts for those that judge it.
        """
        try:
            self._waiting.put_nowait((digest, records, verdicts))
        except Full:
            self._watcher.shadow_skipped((digest, self.bundle.digest), len(records))
            return False
        return True

    def close(self, seconds: float = 1.0) -> None:
        """Ask the thread to end, and wait at most so long: it may hang in its graph."""
        with suppress(Full):
            self._waiting.put(None, timeout=seconds)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (batch := self._waiting.get()) is not None:
            digest, records, verdicts = batch
            bundle = self.bundle
            pair = (digest, bundle.digest)
            try:
                self._watcher.shadow(pair, verdicts, bundle.judge(records))
            except Exception:  # noqa: BLE001 – whatever a candidate raises, the serving bundle goes on
                self._watcher.shadow_failed(pair)
