"""Quix Streams with the same model and headers: `python -m tests.bench.kafka.quix NAME JSON`, in its own environment.

`quix apply` is how an application is written: one record at a time through `apply` and `to_topic`. `quix sink` scores
whole batches in a `BatchingSink`, which Quix flushes at each commit, and produces from there: the fastest
that was found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from quixstreams import Application
from quixstreams.sinks import BatchingSink

from guard.stream.headers import BatchHeaders, GuardHeaders, Stamp
from tests.bench.scorer import Scorer

__all__: list[str] = []

_COMMIT_SECONDS = 0.1
_BATCH_RECORDS = 2000
_STAMP = Stamp("guard:1", "0" * 64, 0.01, "k" * 22, "quix", "bench")


def main() -> None:
    name, told = sys.argv[1], json.loads(sys.argv[2])
    producing = {"acks": "all", "enable.idempotence": True, "batch.size": 256 * 1024, "linger.ms": 5}
    app = Application(
        broker_address=told["bootstrap"],
        consumer_group=told["group"],
        auto_offset_reset="earliest",
        commit_interval=_COMMIT_SECONDS,
        commit_every=_BATCH_RECORDS,
        consumer_extra_config={"isolation.level": "read_committed"},
        producer_extra_config=producing,
        state_dir=told["state"],
        auto_create_topics=False,
        loglevel="ERROR",
    )
    runs: dict[str, Callable[..., None]] = {"quix apply": _apply, "quix sink": _sink}
    runs[name](app, told, Scorer(told["kind"], told["model"]))


def _apply(app: Application, told: dict[str, Any], scorer: Scorer) -> None:
    write = _headers(told)
    place = {"offset": 0}

    def judge(value: bytes, key: Any, timestamp: int, headers: Any) -> bytes:
        place["score"] = (scorer([value]) or [0.0])[0]
        return value

    def mark(value: bytes, key: Any, timestamp: int, headers: Any) -> Any:
        place["offset"] += 1
        return [*(headers or ()), *write.clean(place["offset"], place["score"])]

    source = app.topic(told["input"], key_deserializer="bytes", value_deserializer="bytes")
    clean = app.topic(told["clean"], key_serializer="bytes", value_serializer="bytes")
    app.dataframe(source).apply(judge, metadata=True).set_headers(mark).to_topic(clean)
    app.run()


def _sink(app: Application, told: dict[str, Any], scorer: Scorer) -> None:
    source = app.topic(told["input"], key_deserializer="bytes", value_deserializer="bytes")
    with app.get_producer() as producer:
        app.dataframe(source).sink(_Passing(producer, told["clean"], scorer, told))
        app.run()


class _Passing(BatchingSink):
    def __init__(self, producer: Any, topic: str, scorer: Scorer, told: dict[str, Any]) -> None:
        super().__init__()
        self._producer, self._topic, self._scorer, self._told = producer, topic, scorer, told

    def write(self, batch: Any) -> None:
        write = _headers(self._told)
        records = list(batch)
        scores = _filled(self._scorer([record.value for record in records]), len(records))
        for record, score in zip(records, scores, strict=True):
            self._producer.produce(
                self._topic,
                record.value,
                record.key,
                [*(record.headers or ()), *write.clean(record.offset, score)],
                batch.partition,
                record.timestamp,
            )
        self._producer.flush()


def _filled(scores: Sequence[float], count: int) -> list[float]:
    """Records that could not be decoded have no score; what is compared is the work, not the verdict."""
    return [*scores, *[0.0] * (count - len(scores))]


def _headers(told: dict[str, Any]) -> BatchHeaders:
    return GuardHeaders(_STAMP).batch(told["input"], 0, datetime.now(UTC))


if __name__ == "__main__":
    main()
