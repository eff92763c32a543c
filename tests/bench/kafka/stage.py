"""Where everything is measured: one broker, topics, what lies in them, and the processor time of a process.

The subject has the first core to itself; broker, sender and the bench share the others. On a single core all share it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from deploy.kafka.launcher import Broker
from tests.support.topics import Topics, make_topics

__all__ = ["Feed", "Stage", "cpu_seconds", "frozen", "until", "until_quiet"]

_BATCH_BYTES = 256 * 1024
_POLL_SECONDS = 0.02
_QUIET_SECONDS = 0.25
_QUIET_SHARE = 0.05
_TICK_SECONDS = 0.002
_CPU_CLOCK = 2
"""Linux: the clock of a process is (~pid << 3) | 2; it counts all of its threads, in nanoseconds."""


def until(holds: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    """Polls until `holds()` is true, and returns what it gave. Raises TimeoutError, which names `what`."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(_POLL_SECONDS)
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process so far."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)


@contextmanager
def frozen(pids: Iterable[int]) -> Iterator[None]:
    """The processes do nothing for as long as the block lasts: what is sent meanwhile lies there when they wake."""
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Stage:
    """A running broker, and who runs on which core."""

    def __init__(self, folder: Path) -> None:
        self._all = sorted(os.sched_getaffinity(0))
        self.subject_core = {self._all[0]}
        self.other_cores = set(self._all[1:]) or self.subject_core
        self._folder = folder
        self._count = itertools.count()
        self.broker = Broker(folder / "broker")
        self._admin: Any = None

    def __enter__(self) -> Self:
        os.sched_setaffinity(0, self.other_cores)
        self.broker.start()
        self._admin = self.broker.admin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.close()
        self.broker.kill()
        os.sched_setaffinity(0, self._all)

    def cores(self) -> dict[str, Any]:
        """For the result file."""
        return {"subject": sorted(self.subject_core), "broker_and_sender": sorted(self.other_cores)}

    def folder(self) -> Path:
        """A new folder for one run."""
        found = self._folder / f"run-{next(self._count)}"
        found.mkdir()
        return found

    @contextmanager
    def topics(self, partitions: int = 1) -> Iterator[Topics]:
        """Topics of one run, which are deleted after it: the disk would fill up otherwise."""
        made = replace(make_topics(self.broker, partitions))
        try:
            yield made
        finally:
            self._admin.delete_topics([made.input, *made.sinks])

    @contextmanager
    def on_cores(self, cores: Iterable[int]) -> Iterator[None]:
        """Processes that are started within the block run there: threads that a process starts inherit its cores."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    @contextmanager
    def broker_everywhere(self) -> Iterator[None]:
        """The broker may use all cores: with two subjects none is left for it alone."""
        self._pin_broker(self._all)
        try:
            yield
        finally:
            self._pin_broker(self.other_cores)

    def _pin_broker(self, cores: Iterable[int]) -> None:
        for thread in Path(f"/proc/{self.broker.pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)

    def produced(self, topics: Topics) -> int:
        """Records in all outputs, duplicates included."""
        return self._ends(topics.sinks, topics.partitions)

    def sent(self, topics: Topics) -> int:
        """Records in the input."""
        return self._ends([topics.input], topics.partitions)

    def _ends(self, names: Sequence[str], partitions: int) -> int:
        wanted = {TopicPartition(name, one): OffsetSpec.LATEST for name in names for one in range(partitions)}
        return sum(found.offset for found in self._admin.list_partition_offsets(wanted).values())

    def await_produced(self, topics: Topics, count: int, alive: Callable[[], str | None]) -> None:
        """Waits until the outputs hold `count` records. `alive` tells how a subject has ended, None while it has not.

        Raises RuntimeError when it has.
        """

        def holds() -> bool:
            if ended := alive():
                raise RuntimeError(ended)
            return self.produced(topics) >= count

        until(holds, f"{count} records come out, {self.produced(topics)} have")

    def fill(self, topics: Topics, values: Sequence[bytes], count: int) -> None:
        """`count` records into each partition of the input, in large batches, all acknowledged."""
        asyncio.run(self._fill(topics, values, count))

    async def _fill(self, topics: Topics, values: Sequence[bytes], count: int) -> None:
        async with self._producer() as producer:
            for partition in range(topics.partitions):
                records = itertools.islice(itertools.cycle(values), count)
                await asyncio.gather(*[future async for future in _send(producer, topics.input, partition, records)])

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self.broker.bootstrap, acks="all", enable_idempotence=True, max_batch_size=_BATCH_BYTES
        )

    def feed(self, topics: Topics, values: Sequence[bytes], rate: float) -> Feed:
        """A steady load on partition 0."""
        return Feed(self._producer, topics.input, values, rate)


async def _send(producer: AIOKafkaProducer, topic: str, partition: int, records: Iterable[bytes]) -> Any:
    """Yields the future of each batch. The timestamp of a record is the time at which it was made."""
    builder = producer.create_batch()
    for value in records:
        now = int(time.time() * 1000)
        if builder.append(timestamp=now, key=None, value=value) is None:
            yield await producer.send_batch(builder, topic, partition=partition)
            builder = producer.create_batch()
            builder.append(timestamp=now, key=None, value=value)
    if builder.record_count():
        builder.close()
        yield await producer.send_batch(builder, topic, partition=partition)


class Feed:
    """Sends records over and over at a steady rate, from a thread of its own, until the block ends."""

    def __init__(
        self, producer: Callable[[], AIOKafkaProducer], topic: str, values: Sequence[bytes], rate: float
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._values = itertools.cycle(values)
        self._rate = rate
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._send())
        except BaseException as error:  # noqa: BLE001 – handed to the thread that measures
            self._error = error

    async def _send(self) -> None:
        async with self._producer() as producer:
            began = time.monotonic()
            while not self._stopped.is_set():
                due = int((time.monotonic() - began) * self._rate) - self.sent
                async for _ in _send(producer, self._topic, 0, itertools.islice(self._values, due)):
                    pass
                self.sent += due
                await asyncio.sleep(_TICK_SECONDS)


def until_quiet(pid: int) -> None:
    """Waits until a process has done all that it had to do, commits included, and only waits."""

    def quiet() -> bool:
        before = cpu_seconds(pid)
        time.sleep(_QUIET_SECONDS)
        return cpu_seconds(pid) - before < _QUIET_SHARE * _QUIET_SECONDS

    until(quiet, "the process becomes quiet")
