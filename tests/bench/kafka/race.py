"""Processor time per record of the guard and of what it is compared with, in turns on one broker.

Each run has topics of its own with the same settings and the same bytes. The subject first works through a few records;
then it is frozen, its input is laid out, and it is woken: what is counted is all that it does from there until the last
record is in the outputs. So starting, joining the group and loading the model are not part of it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.kafka.material import Material
from tests.bench.kafka.program import Program
from tests.bench.kafka.sizes import Sizes
from tests.bench.kafka.stage import Stage, cpu_seconds, frozen, until_quiet

__all__ = ["ENTRIES", "Entry", "race"]


@dataclass(frozen=True)
class Entry:
    """One subject. `size`: which count of `Sizes` it gets; `alone`: it runs the bundle with the mimic alone.

    `reads` records by itself, in ways that differ between kinds of records; the others are the same for all.
    """

    name: str
    size: str
    says: str
    alone: bool = False
    reads: bool = False


ENTRIES = (
    Entry("floor", "fast", "aiokafka getmany and send_batch, no scoring, no headers"),
    Entry("transport", "fast", "the guard's transport, no scoring, no headers"),
    Entry("floor+model", "race", "the floor with typed decoding and ONNX Runtime, no headers", reads=True),
    Entry("guard", "race", "the whole guard, all members", reads=True),
    Entry("guard, no evidence", "race", "the whole guard that counts no evidence about sources and drift"),
    Entry("guard, mimic alone", "race", "the whole guard with the mimic as its only member", alone=True),
    Entry("faust take", "slow", "plain Faust: take(2000), the model on each batch, topic.send; no headers"),
    Entry("faust events", "slow", "plain Faust: events(), the model on each record, topic.send; no headers"),
    Entry("quix sink", "race", "Quix Streams: the model on each batch in a BatchingSink; the guard's headers"),
    Entry("quix apply", "slow", "Quix Streams: apply(), the model on each record, to_topic; the guard's headers"),
)


def race(stage: Stage, material: Material, sizes: Sizes, entries: Sequence[Entry]) -> dict[str, list[dict[str, Any]]]:
    """All runs of each entry: they take turns, so that a machine that slows down slows all of them."""
    found: dict[str, list[dict[str, Any]]] = {entry.name: [] for entry in entries}
    for _ in range(sizes.runs):
        for entry in entries:
            found[entry.name].append(_run(stage, material, sizes, entry))
            sys.stderr.write(f"{material.kind:8}{entry.name:20}{found[entry.name][-1]}\n")
    return found


def _run(stage: Stage, material: Material, sizes: Sizes, entry: Entry) -> dict[str, Any]:
    count: int = getattr(sizes, entry.size)
    bundle: Path = material.alone if entry.alone else material.bundle
    with stage.topics() as topics:
        stage.fill(topics, material.values, sizes.warm)
        with Program(entry.name, stage, topics, material.kind, bundle) as program:
            stage.await_produced(topics, sizes.warm, program.ended)
            until_quiet(program.pid)
            with frozen([program.pid]):
                stage.fill(topics, material.values, count)
                began, used = time.monotonic(), cpu_seconds(program.pid)
            stage.await_produced(topics, sizes.warm + count, program.ended)
            seconds, cpu = time.monotonic() - began, cpu_seconds(program.pid) - used
    return {
        "records": count,
        "cpu_seconds": round(cpu, 4),
        "seconds": round(seconds, 3),
        "cpu_us_per_record": round(cpu / count * 1e6, 3),
        "records_per_second": round(count / seconds),
    }
