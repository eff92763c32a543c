"""The guard, with the latency of each record written down: `python -m tests.bench.kafka.observed guard run …`.

Its own histogram has buckets; a percentile wants the values. BENCH_LATENCIES names the file: float64 seconds from a
record's timestamp to the moment at which its delivery was told, in the order of the records.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from guard.cli.main import main
from guard.stream.metrics import StreamMetrics

__all__: list[str] = []

_count = StreamMetrics.latency


def _latency(self: StreamMetrics, timestamps_ms: Sequence[int], now: float) -> None:
    (now - np.asarray(timestamps_ms, np.float64) / 1000).tofile(_FILE)
    _FILE.flush()
    _count(self, timestamps_ms, now)


if __name__ == "__main__":
    _FILE = Path(os.environ["BENCH_LATENCIES"]).open("wb")  # noqa: SIM115 – it lives as long as the process
    StreamMetrics.latency = _latency  # type: ignore[method-assign]
    main()
