"""A Prometheus histogram that takes a whole batch at once: one search over sorted edges, not a call per record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

__all__ = ["BulkHistogram"]


class BulkHistogram(Collector):
    """A histogram `name` over ascending `edges`, optionally split by one closed label.

    `split`: the label's name and all its values, each of which is there from the start, at zero. Observations come
    from one thread, scrapes from another.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        documentation: str,
        edges: Sequence[float],
        split: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._edges = np.array(edges, np.float64)
        self._bounds = [*map(str, self._edges.tolist()), "+Inf"]
        ((self._label, self._values),) = split.items() if split else {"": ("",)}.items()
        self._counts = np.zeros((len(self._values), len(self._bounds)), np.int64)
        self._sums = np.zeros(len(self._values))
        self._lock = Lock()
        registry.register(self)

    def observe(self, values: ArrayLike, value_of_label: str = "") -> None:
        """Count `values`, a number or an array without NaN. Raises ValueError for a label that was not announced."""
        found = np.atleast_1d(np.asarray(values, np.float64))
        row = self._values.index(value_of_label)
        buckets = np.bincount(np.searchsorted(self._edges, found), minlength=len(self._bounds))
        with self._lock:
            self._counts[row] += buckets
            self._sums[row] += found.sum()

    def collect(self) -> Iterable[Metric]:
        """The family as Prometheus reads it: cumulative counts up to and including each edge."""
        with self._lock:
            cumulative, sums = self._counts.cumsum(axis=1).tolist(), self._sums.tolist()
        labels = [self._label] if self._label else []
        family = HistogramMetricFamily(self._name, self._documentation, labels=labels)
        for value, counts, total in zip(self._values, cumulative, sums, strict=True):
            family.add_metric([value][: len(labels)], list(zip(self._bounds, counts, strict=True)), total)
        return [family]

    def describe(self) -> Iterable[Metric]:
        """The family without samples: the registry refuses a second collector of the same name by it."""
        return [HistogramMetricFamily(self._name, self._documentation)]
