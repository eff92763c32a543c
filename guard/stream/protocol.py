"""What happens to each fetched list of records, in eight steps. Any failure after 1 ends the process before 7.

1. Fetch a list of raw records of one partition. 2. Decode and validate each one on its own. 3. Score the good ones in
one ONNX call, off the event loop. 4. Judge. 5. Produce every record to exactly one of clean, quarantine and dead
letter, to the partition number that it came from. 6. Await every delivery, under a deadline. 7. Acknowledge, in order.
8. Commit, about every 75 ms or after each list.

So a record is never acknowledged before all its copies are on disk, and what was produced and not committed when a
process ends is produced again, with the same `guard-origin`: at least once, with a key to tell copies by.

While the brokers confirm one list the next one is judged; it is produced when the one before it is acknowledged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from guard.bundle import Bundle
from guard.errors import GuardError
from guard.routing import ROUTES, Mode
from guard.stream.delivery import Delivery, DeliveryFailed
from guard.stream.headers import GuardHeaders, Stamp
from guard.stream.metrics import Stage, StreamMetrics
from guard.stream.outgoing import Limits, Prepared, prepare
from guard.stream.serving import Serving
from guard.stream.witness import Norm, Witness
from guard.verdict import HoldReason, Status, Verdict

__all__ = ["Identity", "Protocol", "ScoringHung"]

_LOG = structlog.get_logger("guard.stream")


class ScoringHung(GuardError):
    """ONNX Runtime did not come back. A thread cannot be ended from outside: the process must be."""


@dataclass(frozen=True)
class Identity:
    """Who judges: id of the Kafka cluster, consumer group, and name of this instance."""

    cluster: str
    group: str
    instance: str


@dataclass(frozen=True)
class _Ready:
    """One list, judged by the bundle of that digest and not yet produced, with the seconds that it took so far."""

    records: Sequence[Any]
    bundle: str
    prepared: Prepared
    stages: dict[Stage, float]
    inference_seconds: float


class Protocol:
    """Steps 2 to 6 for one list after the other; `run` is all eight. `model_free` is told after step 4 of each."""

    def __init__(
        self,
        identity: Identity,
        serving: Serving,
        delivery: Delivery,
        limits: Limits,
        metrics: StreamMetrics,
        *,
        mode: Mode,
        scoring_timeout_seconds: float,
        model_free: Callable[[], None],
        witness: Witness | None = None,
    ) -> None:
        self._identity = identity
        self._serving = serving
        self._delivery = delivery
        self._limits = limits
        self._metrics = metrics
        self._mode: Mode = mode
        self._scoring_timeout = scoring_timeout_seconds
        self._model_free = model_free
        self._witness = witness
        self._thread = ThreadPoolExecutor(1, "scoring")
        self._turn = asyncio.Lock()  # a list is judged and marked by one model
        self._headers = _headers(identity, serving.current)

    async def run(self, events: AsyncIterator[Any], finished: Callable[[], Awaitable[None]]) -> None:
        """Takes lists until the stream ends. `finished` is told after each one, and may commit.

        Raises what went wrong first, DeliveryFailed or ScoringHung.
        """
        try:
            async with asyncio.TaskGroup() as deliveries:
                before: asyncio.Task[None] | None = None
                async for event in events:  # 1
                    ready = await self._judge(event.value)  # 2, 3, 4
                    if before is not None:
                        await before
                    before = deliveries.create_task(self._finish(event, ready, finished))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def pass_on(self, records: Sequence[Any]) -> None:
        """Steps 2 to 6 for consecutive records of one partition. Raises DeliveryFailed or ScoringHung."""
        await self._deliver(await self._judge(records))

    async def swap(self, norm: Norm | None = None) -> None:
        """Lets a bundle that waits serve from the next list on; `norm` is what its p-values are evidence of."""
        async with self._turn:
            self._serving.swap()
            if self._witness is not None and norm is not None:
                self._witness.use(norm)

    async def _finish(self, event: Any, ready: _Ready, finished: Callable[[], Awaitable[None]]) -> None:
        await self._deliver(ready)  # 5, 6
        event.ack()  # 7
        await finished()  # 8

    async def _judge(self, records: Sequence[Any]) -> _Ready:
        async with self._turn:
            bundle = self._serving.current
            if self._witness is not None:
                await self._witness.begin(records[0].topic, records[0].partition)
            began, inference = time.perf_counter(), bundle.judgement.runtime.busy_seconds
            verdicts = await self._judged(bundle, [record.value or b"" for record in records])
            if self._witness is not None:
                verdicts = self._witness.held(verdicts)
            self._model_free()
            await asyncio.sleep(0)  # the next list is asked for while this one is marked
            judged = time.perf_counter()
            prepared = self._prepared(bundle, records, verdicts)
        stages: dict[Stage, float] = {"judge": judged - began, "produce": time.perf_counter() - judged}
        return _Ready(records, bundle.digest, prepared, stages, bundle.judgement.runtime.busy_seconds - inference)

    async def _deliver(self, ready: _Ready) -> None:
        records, prepared, began = ready.records, ready.prepared, time.perf_counter()
        try:
            await self._delivery.deliver(records[0].partition, prepared.outgoing)
        except DeliveryFailed as error:
            self._metrics.produce_error(error.sink, error.kind)
            raise
        stages: dict[Stage, float] = {**ready.stages, "deliver": time.perf_counter() - began}
        self._metrics.batch(prepared.verdicts, stages, ready.inference_seconds)
        if self._witness is not None:
            self._witness.count(records, prepared.verdicts, ready.bundle)
        self._metrics.latency([record.timestamp for record in records], time.time())
        self._metrics.forged_headers(prepared.forged_headers)
        self._metrics.stubs(prepared.stubs)

    async def _judged(self, bundle: Bundle, values: list[bytes]) -> list[Verdict]:
        """A verdict for each value. What cannot be judged is held, never passed."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._scoring_timeout):
                return await loop.run_in_executor(self._thread, self._serving.judge, values)
        except TimeoutError as error:
            raise ScoringHung(
                f"{len(values)} records were not scored within {self._scoring_timeout:g} s. Nothing is lost: they are "
                "read again. If this repeats, raise guard.scoring_timeout_seconds or lower guard.batch_records."
            ) from error
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 – fail closed: whatever the code of a model raises, its records are held
            _LOG.exception("records could not be judged and are held", records=len(values))
            held = Verdict(Status.QUARANTINED, HoldReason.NOT_SCORED, threshold=bundle.alpha.value)
            return [held] * len(values)

    def _prepared(self, bundle: Bundle, records: Sequence[Any], verdicts: Sequence[Verdict]) -> Prepared:
        if bundle.digest != self._headers.stamp.digest:
            self._headers = _headers(self._identity, bundle)
        write = self._headers.batch(records[0].topic, records[0].partition, datetime.now(UTC))
        return prepare(records, verdicts, ROUTES[self._mode], write, self._limits)


def _headers(identity: Identity, bundle: Bundle) -> GuardHeaders:
    card = bundle.manifest
    model = f"{card.name}:{card.version}"
    stamp = Stamp(model, bundle.digest, bundle.alpha.value, identity.cluster, identity.group, identity.instance)
    return GuardHeaders(stamp)
