"""What a kill and a stop cost: seconds until records are judged again, records judged twice, records lost.

All of it is read from the outputs afterwards: the guard's headers say which record each one is, and when it was judged.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from tests.bench.kafka.material import Material
from tests.bench.kafka.program import guard
from tests.bench.kafka.sizes import Sizes
from tests.bench.kafka.stage import Stage, until
from tests.support.topics import Topics, committed, read
from tests.support.watch import group_of
from tests.support.worker import Worker

__all__ = ["kills", "stops"]

_UNTIL_SECONDS = (0.3, 1.0)
"""A guard is interrupted at a random moment after it has begun to judge, often enough in the middle of a batch."""


@dataclass(frozen=True)
class _Judged:
    """Each copy in the outputs: `place` is its input offset, `at` the time of its judging; ordered by `at`."""

    place: Sequence[int]
    at: Sequence[float]


def kills(stage: Stage, material: Material, sizes: Sizes, *, backlog: bool) -> dict[str, Any]:
    """kill -9 at random moments and an immediate start under the same static identity.

    `backlog`: while the guard works at its full rate through what lies there, else under a steady load.
    """
    moments: list[float] = []

    def interrupt(worker: Worker) -> None:
        worker.kill()
        moments.append(time.time())

    return _interrupted(stage, material, sizes, sizes.kills, interrupt, moments, backlog=backlog)


def stops(stage: Stage, material: Material, sizes: Sizes, *, backlog: bool) -> dict[str, Any]:
    """SIGTERM at random moments, and a start after it has ended."""
    moments: list[float] = []
    ends: list[dict[str, Any]] = []

    def interrupt(worker: Worker) -> None:
        code, seconds = worker.stop()
        moments.append(time.time())
        ends.append({"exit_code": code, "seconds": round(seconds, 3)})

    found = _interrupted(stage, material, sizes, sizes.stops, interrupt, moments, backlog=backlog)
    return {**found, "stops": ends}


def _interrupted(
    stage: Stage,
    material: Material,
    sizes: Sizes,
    times: int,
    interrupt: Callable[[Worker], None],
    moments: list[float],
    *,
    backlog: bool,
) -> dict[str, Any]:
    rng = np.random.default_rng(sizes.seed)
    with stage.topics() as topics:
        worker = Worker(stage.folder(), guard(stage, topics, material.bundle, kafka={"instance": "bench"}))
        load = nullcontext() if backlog else stage.feed(topics, material.values, sizes.rate)

        def start() -> None:
            before = stage.produced(topics)
            with stage.on_cores(stage.subject_core):
                worker.start(wait=False)
            stage.fill(topics, material.values, sizes.warm)  # there is something to judge, however fast it was before
            stage.await_produced(topics, before + 1, lambda: None if worker.alive() else worker.log())

        try:
            with load:
                start()
                for delay in rng.uniform(*_UNTIL_SECONDS, times).tolist():
                    if backlog:
                        stage.fill(topics, material.values, sizes.backlog)
                    time.sleep(delay)
                    interrupt(worker)
                    start()
            _await_end(stage, topics)
        finally:
            worker.kill()
        judged, sent = _judged(stage, topics), stage.sent(topics)
    sys.stderr.write(f"        {len(moments)} interruptions, {len(judged.place)} records\n")
    return {
        "load": "backlog" if backlog else f"{sizes.rate} records a second",
        "lost": sent - len(set(judged.place)),
        **_told(judged, moments),
    }


def _await_end(stage: Stage, topics: Topics) -> None:
    """Everything is committed: what is in no output then is lost. The count of copies would not tell."""
    group, sent = group_of(topics), stage.sent(topics)
    until(lambda: sum(committed(stage.broker, group, topics).values()) >= sent, "everything is committed")


def _judged(stage: Stage, topics: Topics) -> _Judged:
    found = []
    for records in read(stage.broker.bootstrap, topics.sinks).values():
        for record in records:
            headers = dict(record.headers)
            origin, when = headers["guard-origin"] or b"", headers["guard-time"] or b""
            found.append((datetime.fromisoformat(when.decode()).timestamp(), int(origin.rpartition(b"/")[2])))
    found.sort()
    return _Judged([place for _, place in found], [at for at, _ in found])


def _told(judged: _Judged, moments: Sequence[float]) -> dict[str, Any]:
    """For each interruption: when the first record after it was judged, and what was judged a second time.

    `again_ms` is how long before the interruption the oldest of those had been judged: work since the last commit.
    """
    first: dict[int, float] = {}
    twice: list[tuple[float, float]] = []
    for place, at in zip(judged.place, judged.at, strict=True):
        if place in first:
            twice.append((at, first[place]))
        first.setdefault(place, at)
    told: list[dict[str, Any]] = []
    for moment, following in pairwise([*moments, float("inf")]):
        after = next((at for at in judged.at if at >= moment), float("nan"))
        copies = [before for at, before in twice if moment <= at < following]
        told.append(
            {
                "seconds_to_judging": round(after - moment, 3),
                "judged_twice": len(copies),
                "again_ms": round((moment - min(copies)) * 1000, 1) if copies else 0.0,
            }
        )
    return {"interruptions": told, "judged_twice": len(twice)}
