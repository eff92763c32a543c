"""From a record's timestamp to the moment at which the guard knows that it is delivered, under a steady load."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tests.bench.kafka.material import Material
from tests.bench.kafka.program import guard
from tests.bench.kafka.sizes import Sizes
from tests.bench.kafka.stage import Stage
from tests.support.worker import Worker

__all__ = ["latency"]

_WARM_SHARE = 0.1


def latency(stage: Stage, material: Material, sizes: Sizes, rate: float) -> dict[str, Any]:
    """Percentiles in milliseconds at `rate` records a second; the first tenth of the records is left out."""
    folder = stage.folder()
    seen = folder / "latencies"
    with stage.topics() as topics:
        sections = guard(stage, topics, material.bundle)
        environment = {"BENCH_LATENCIES": str(seen)}
        worker = Worker(folder, sections, environment=environment, program=("-m", "tests.bench.kafka.observed"))
        with stage.on_cores(stage.subject_core):
            worker.start(wait=False)
        try:
            worker.until_ready()
            with stage.feed(topics, material.values, rate) as feed:
                time.sleep(sizes.latency_seconds)
            stage.await_produced(topics, feed.sent, lambda: None if worker.alive() else worker.log())
        finally:
            worker.kill()
    found = np.fromfile(seen)
    found = found[int(_WARM_SHARE * len(found)) :]
    shares = {"p50_ms": 50, "p90_ms": 90, "p99_ms": 99, "max_ms": 100}
    told = {name: round(float(np.percentile(found, share)) * 1000, 2) for name, share in shares.items()}
    return {"records_per_second": round(rate), "records": len(found), **told}
