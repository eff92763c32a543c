"""Who is being held: the sources with most refused records of late, in memory that no sender can make grow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

__all__ = ["RANKS", "WINDOW_SECONDS", "Offender", "Offenders"]

RANKS = 10
"""How many sources are told apart by rank. Their names are never labels: a sender must not be able to create series."""

WINDOW_SECONDS = 600.0
"""Counts cover this long, and up to twice as long: the window now running and the one before it."""

_KEPT = 1000
_PRUNE_AT = 4 * _KEPT


class Offender(NamedTuple):
    """A source, None where a malformed record does not tell, and how many of its records were refused."""

    source: str | None
    records: int


class Offenders(Collector):
    """Counts refused records by source over two windows. The event loop adds, the metrics thread reads.

    Prometheus sees how many records each rank holds, and so whether it is one source or all of them; who it is, only
    `top` tells.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._now: Counter[str | None] = Counter()
        self._before: Counter[str | None] = Counter()
        self._turned = time.monotonic()
        self._lock = Lock()
        registry.register(self)

    def add(self, sources: Iterable[str | None]) -> None:
        """Count the sources of records that were held or rejected."""
        with self._lock:
            self._turn()
            self._now.update(sources)
            if len(self._now) > _PRUNE_AT:
                self._now = Counter(dict(self._now.most_common(_KEPT)))

    def top(self) -> list[Offender]:
        """At most `RANKS` sources, most refused records first."""
        with self._lock:
            self._turn()
            return [Offender(*found) for found in (self._now + self._before).most_common(RANKS)]

    def collect(self) -> Iterable[Metric]:
        """`guard_held_source_records{rank}`: every rank is always there."""
        (family,) = self.describe()
        counts = [found.records for found in self.top()]
        for rank in range(RANKS):
            family.add_sample(
                "guard_held_source_records", {"rank": str(rank + 1)}, counts[rank] if rank < len(counts) else 0
            )
        return [family]

    def describe(self) -> list[Metric]:
        """The family without samples."""
        return [GaugeMetricFamily("guard_held_source_records", "Records refused of late, by rank of their source.")]

    def _turn(self) -> None:
        passed = (time.monotonic() - self._turned) // WINDOW_SECONDS
        if passed:
            self._before = self._now if passed == 1 else Counter()
            self._now = Counter()
            self._turned += passed * WINDOW_SECONDS
