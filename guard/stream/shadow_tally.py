"""What `/shadow` says: how the serving bundle and its shadow judged the same records, since both are in use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock

from guard.agreement import Agreement
from guard.rfc3339 import now_text, seconds_of

__all__ = ["Pair", "ShadowTally"]

Pair = tuple[str, str]
"""Digests of the serving bundle and of the shadow."""


class ShadowTally:
    """Counts for one pair of bundles; those of another pair begin anew. The shadow's thread adds, the server's reads.

    A restart of the guard begins anew as well: `since` says from when on.
    """

    def __init__(self, now: Callable[[], str] = now_text) -> None:
        self._now = now
        self._lock = Lock()
        self._pair: Pair | None = None
        self._counts: Counter[str] = Counter()
        self._since: str | None = None
        self._until: str | None = None

    def add(self, pair: Pair, counts: Counter[str]) -> None:
        """Add counts of an `Agreement`, by name."""
        with self._lock:
            if pair != self._pair:
                self._begin(pair)
            self._counts.update(counts)
            if "failed_batches" not in counts and "skipped_records" not in counts:
                self._until = self._later(self._now())
                self._since = self._since or self._until

    def agreement(self) -> Agreement | None:
        """The counts so far; None where no shadow has been asked yet."""
        with self._lock:
            if self._pair is None:
                return None
            champion, challenger = self._pair
            spans = {"since": self._since, "until": self._until}
            return Agreement.counted(
                champion_digest=champion, challenger_digest=challenger, **spans, **dict(self._counts)
            )

    def _begin(self, pair: Pair) -> None:
        self._pair, self._counts, self._since, self._until = pair, Counter(), None, None

    def _later(self, now: str) -> str:
        """A clock that jumps back must not let the counts end before they began."""
        before = self._until
        return now if before is None or seconds_of(now) > seconds_of(before) else before
