"""What lag does to memory, and what a second worker adds."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.kafka.material import Material
from tests.bench.kafka.program import guard
from tests.bench.kafka.sizes import Sizes
from tests.bench.kafka.stage import Stage, frozen, until, until_quiet
from tests.support.topics import Topics
from tests.support.worker import Worker

__all__ = ["memory", "scale"]

_SAMPLE_SECONDS = 0.25
_SETTLED_SHARE = 0.1
"""Until a tenth of the records is through, buffers and pools still fill for the first time."""


def memory(stage: Stage, material: Material, sizes: Sizes) -> dict[str, Any]:
    """Resident memory while a guard works off a lag that was there when it started."""
    with stage.topics() as topics:
        stage.fill(topics, material.values, sizes.memory)
        worker = Worker(stage.folder(), guard(stage, topics, material.bundle))
        with stage.on_cores(stage.subject_core):
            worker.start(wait=False)
        try:
            samples = _watched(stage, topics, worker, sizes.memory)
        finally:
            worker.kill()
    settled = [found for done, found in samples if done >= _SETTLED_SHARE * sizes.memory]
    first, last = settled[0], settled[-1]
    return {
        "records": sizes.memory,
        "samples": [{"records": done, "mib": round(found / 2**20, 1)} for done, found in samples],
        "first_mib": round(first / 2**20, 1),
        "last_mib": round(last / 2**20, 1),
        "peak_mib": round(max(found for _, found in samples) / 2**20, 1),
        "spread": round(max(settled) / min(settled) - 1, 4),
        "growth": round(last / first - 1, 4),
    }


def _watched(stage: Stage, topics: Topics, worker: Worker, count: int) -> list[tuple[int, int]]:
    samples = []
    while not samples or samples[-1][0] < count:
        if not worker.alive():
            raise RuntimeError(worker.log())
        samples.append((stage.produced(topics), worker.resident_bytes()))
        time.sleep(_SAMPLE_SECONDS)
    return samples


def scale(stage: Stage, material: Material, sizes: Sizes) -> dict[str, list[dict[str, Any]]]:
    """Records a second of one worker on one partition and of two on two, in turns; the broker may use all cores."""
    found: dict[str, list[dict[str, Any]]] = {"1": [], "2": []}
    with stage.broker_everywhere():
        for _ in range(sizes.runs):
            for workers, runs in found.items():
                runs.append(_scaled(stage, material, sizes, int(workers)))
    return found


def _scaled(stage: Stage, material: Material, sizes: Sizes, workers: int) -> dict[str, Any]:
    cores = [stage.subject_core, stage.other_cores]
    with stage.topics(partitions=workers) as topics, ExitStack() as stack:
        started = [
            stack.enter_context(_Pinned(stage, topics, material.bundle, number, cores[number % len(cores)]))
            for number in range(workers)
        ]
        until(lambda: all(_share(one) == 1 for one in started), "each worker has one partition")
        stage.fill(topics, material.values, sizes.warm)
        stage.await_produced(topics, workers * sizes.warm, lambda: None)
        for one in started:
            until_quiet(one.pid)
        with frozen([one.pid for one in started]):
            stage.fill(topics, material.values, sizes.scale)
            began = time.monotonic()
        stage.await_produced(topics, workers * (sizes.warm + sizes.scale), lambda: None)
        seconds = time.monotonic() - began
    count = workers * sizes.scale
    return {"records": count, "seconds": round(seconds, 3), "records_per_second": round(count / seconds)}


def _share(worker: Worker) -> float:
    return worker.metrics().get("guard_assigned_partitions", 0.0) if worker.alive() and worker.ready() else 0.0


class _Pinned(Worker):
    def __init__(self, stage: Stage, topics: Topics, bundle: Path, number: int, cores: set[int]) -> None:
        super().__init__(stage.folder(), guard(stage, topics, bundle, kafka={"instance": f"bench-{number}"}))
        self._stage = stage
        self._cores = cores

    def start(self, *, wait: bool = True) -> _Pinned:
        with self._stage.on_cores(self._cores):
            super().start(wait=False)
        return self.until_ready() if wait else self
