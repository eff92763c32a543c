"""The list transport: Faust fetches, rebalances and commits; whole fetched lists reach the agent as one event.

Stock Faust puts each record through several queues, which costs more than judging it; here a list passes as one event
(`make bench-kafka` sets both side by side). The price is that private methods of Faust are overridden here. They are
named in `assert_internals`, which the guard calls before it starts, and the packages are pinned exactly.

What must hold, and where it is kept:

* a fetched list is handed on, or its partition is sought back to the committed offset: `_drain_messages`;
* an offset is committed only when all records before it are delivered: lists are acknowledged in order, `_new_offset`;
* aborted transactions are never read: `_ListConsumerThread`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any, cast

import faust
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from faust import streams, tables
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage, Message

from guard.errors import MissingRuntime
from guard.stream.log import FRAMEWORK_LOGGER

__all__ = ["TESTED", "ListConsumer", "ListSchema", "ListTransport", "NoTables", "assert_internals"]

TESTED = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14.0"}
"""The versions under which kills, rebalances, transactions and stops were tested; another one may lose records."""

_INTERNALS: dict[type, tuple[str, ...]] = {
    base.Consumer: (
        *("_drain_messages", "_new_offset", "_wait_next_records", "perform_seek", "wait_first", "ack"),
        *("on_buffer_full", "on_buffer_drop", "commit", "flow_active"),
    ),
    driver.Consumer: ("_new_consumer_thread", "consumer_stopped_errors"),
    driver.AIOKafkaConsumerThread: ("_create_worker_consumer", "_ensure_consumer"),
    AIOKafkaClient: ("_metadata_update",),
    faust.App: ("_new_transport",),
    streams.Stream: ("noack", "_c_aiter"),
    tables.TableManager: ("on_start", "_update_channels", "recovery"),
}
_FETCHER = ("_fetch_min_bytes", "_fetch_max_wait_ms")
_STATE = ("_read_offset", "_acked", "_acked_index", "_committed_offset", "can_resume_flow", "suspend_flow")
_READ_COMMITTED = "read_committed"
_PATIENT, _PROMPT = (64 << 10, 5), (1, 500)
"""Bytes that make the broker answer a fetch at once, and milliseconds after which it answers anyway."""

_SPARSE_SECONDS = 0.025
"""Between two lists, from which on there is nothing to gather."""

_GAP_SECONDS = 1.0

_AHEAD_SECONDS = 1.0
"""A model that is busy for longer gets its next list fetched all the same; the stream's queue bounds how many wait."""


def assert_internals() -> None:
    """Raises MissingRuntime when Faust, mode or aiokafka is not the one whose internals are overridden here."""
    for package, tested in TESTED.items():
        found = _installed(package)
        if found != tested:
            raise MissingRuntime(
                f"{package} {tested} is needed, {found or 'none'} is installed; another version may lose records. "
                f"Run: pip install '{package}=={tested}'"
            )
    missing = [
        f"{owner.__name__}.{name}" for owner, names in _INTERNALS.items() for name in names if not hasattr(owner, name)
    ]
    missing += [] if hasattr(fetcher, "MemoryRecords") else ["aiokafka.consumer.fetcher.MemoryRecords"]
    missing += [f"Fetcher.{name}" for name in _FETCHER if name not in fetcher.Fetcher.__init__.__code__.co_names]
    annotated = base.Consumer.__annotations__
    missing += [f"Consumer.{name}" for name in _STATE if name not in annotated]
    # Stock Faust's uncompiled iterator acknowledges what it skips after a rebalance.
    if getattr(streams, "_CStreamIterator", None) is None:
        missing.append("its compiled stream iterator")
    if missing:
        raise MissingRuntime(
            f"this build of Faust lacks {', '.join(missing)}; unset NO_CYTHON and run: "
            f"pip install --force-reinstall 'faust-streaming=={TESTED['faust-streaming']}'"
        )


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class _ListConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads what was committed, in lists."""

    logger = FRAMEWORK_LOGGER

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        if not hasattr(consumer, "_isolation_level"):
            raise MissingRuntime(
                f"aiokafka lacks AIOKafkaConsumer._isolation_level; run: pip install aiokafka=={TESTED['aiokafka']}"
            )
        # Faust asks for read_uncommitted whenever it does not write transactions itself.
        consumer._isolation_level = _READ_COMMITTED  # noqa: SLF001 – read once, in its start()
        return consumer

    def gather(self, *, dense: bool) -> None:
        """Whether the next fetches let records gather at the broker, or bring each one at once.

        A list costs milliseconds however short it is. Answered at once, fetches from a dense stream bring two or three
        records, and their lists queue up. A sparse stream would be asked in vain two hundred times a second.
        """
        fetch = self._ensure_consumer()._fetcher  # noqa: SLF001 – read at each request
        fetch._fetch_min_bytes, fetch._fetch_max_wait_ms = _PATIENT if dense else _PROMPT  # noqa: SLF001

    async def on_thread_stop(self) -> None:
        """As Faust does. A fetch that is cancelled while brokers are away would end the thread, and hang the stop."""
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()


class ListConsumer(driver.Consumer):
    """One Faust event per fetched list of one partition. Lists of a partition must be acknowledged in order."""

    logger = FRAMEWORK_LOGGER

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._judged: dict[TP, int | None] = {}
        self._fetched: set[TP] = set()
        self._missed = 0
        self._asked: dict[TP, float] = {}
        self._ahead = 0
        self._model_free = asyncio.Event()

    def model_free(self) -> None:
        """One list has been judged. Before the last one is, no more are fetched: they would age where nobody sees it.

        So the records that come meanwhile wait together at the broker, and are one list.
        """
        self._ahead = max(0, self._ahead - 1)
        if not self._ahead:
            self._model_free.set()

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        self._lists = _ListConsumerThread(self, loop=self.loop, beacon=self.beacon)
        return self._lists

    def on_buffer_full(self, tp: TP) -> None:
        """Does nothing: a full queue blocks `_drain_messages`. Stock, the partition pauses and sleeps for a second."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Does nothing, as `on_buffer_full` never paused the partition."""

    def ack(self, message: Message) -> bool:
        """Everything up to the end of the list is delivered."""
        self._judged[message.tp] = message.offset + 1
        return super().ack(message)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finishes the list in work and commits, before the partitions are given away.

        Stock Faust first forgets what was acknowledged and then has nothing to commit: at each rebalance of the group,
        every member would judge again what it did since the last commit.
        """
        if not self.app.should_stop and self.assignment():
            self.stop_flow()
            self.app.flow_control.suspend()
            self.app.flow_control.clear()
            await self.wait_empty()
            await self.commit()  # a commit that is asked for while another one is on its way is none
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Back to the committed offsets. What was fetched and not acknowledged will be fetched again."""
        await super().perform_seek()
        self._ahead = 0  # what was handed on and not judged is dropped
        self._judged.update(self._read_offset)

    async def lags(self) -> Mapping[TP, int]:
        """Records of each assigned partition that are not delivered yet.

        Where nothing is in flight, this counts from the fetch position: markers of transactions at the end of a
        partition are never delivered, and would be a lag for ever.
        """
        assigned = self.assignment()
        ends = await self.highwaters(*assigned) if assigned else {}
        return {tp: max(0, end - await self._reached(tp)) for tp, end in ends.items() if tp in self.assignment()}

    async def _reached(self, tp: TP) -> int:
        judged = self._judged.get(tp)
        if tp not in self._fetched and judged == self._read_offset[tp]:
            return await self.position(tp) or 0
        return judged or 0

    def take_missed(self) -> int:
        """How many records were found, since the last call, to have been deleted before they could be read."""
        missed, self._missed = self._missed, 0
        return missed

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit. Lists are acknowledged in order, so all before the last one is delivered.

        Stock Faust counts offsets one by one and falls behind for ever where transactions or compaction left gaps.
        """
        acked = self._acked[tp]
        if not acked:
            return None
        last = acked[-1]
        acked.clear()
        self._acked_index[tp].clear()
        return last + 1

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._hand_on_next()
        except BaseException as error:
            stopped = isinstance(error, (*self.consumer_stopped_errors, asyncio.CancelledError))
            if not (stopped and self.app.should_stop):
                raise

    async def _hand_on_next(self) -> None:
        if not self.flow_active:
            # A rebalance. The generation is read only after it: lists fetched under the new one must not be dropped.
            await self.wait(cast("Any", self.can_resume_flow))
            return
        if self._ahead:
            await self.wait_first(self._model_free.wait(), self.suspend_flow.wait(), timeout=_AHEAD_SECONDS)
            self._ahead = 0
            return
        generation = self.app.consumer_generation_id
        asked = monotonic()
        lists, _ = await self._wait_next_records(timeout=1.0)
        self._lists.gather(dense=monotonic() - asked < _SPARSE_SECONDS)
        if not lists or self.should_stop:
            await asyncio.sleep(0)
        elif self._is_over(generation):
            await self._seek_back()
        else:
            self._fetched, self._ahead = set(lists), len(lists)
            self._model_free.clear()
            for tp, records in lists.items():
                if not await self._hand_on(tp, records, generation):
                    break  # the rebalance seeks before it resumes
                self._fetched.discard(tp)

    def _is_over(self, generation: int) -> bool:
        return not self.flow_active or generation != self.app.consumer_generation_id

    async def _seek_back(self) -> None:
        """The fetch positions are past lists that nobody was given: a list is never dropped without this."""
        try:
            await self.perform_seek()
        except Exception:
            if self.flow_active:
                raise
            # A new rebalance began, and seeks itself.

    async def _hand_on(self, tp: TP, records: list[Any], generation: int) -> bool:
        """False when a rebalance came in between: the list may or may not have reached the agent."""
        if self._is_over(generation):
            return False
        start, first = self._read_offset[tp], records[0].offset
        if start is not None and first < start:
            self._went_back(tp, start, first)
        elif start is not None and first > start:
            await self._look_into_gap(tp, start, first)
        await self.wait_first(self.callback(_as_message(tp, records, generation)), self.suspend_flow.wait())
        if self._is_over(generation):
            return False
        self._read_offset[tp] = records[-1].offset + 1
        return True

    async def _look_into_gap(self, tp: TP, expected: int, found: int) -> None:
        """Nothing is amiss where offsets belong to transactions or were compacted: then the log begins before them.

        A topic of small transactions has a gap in each list, so the brokers are asked once a second at most.
        """
        now = monotonic()
        if now - self._asked.get(tp, -math.inf) < _GAP_SECONDS:
            return
        self._asked[tp] = now
        try:
            begins = (await self.earliest_offsets(tp))[tp]
        except Exception as error:  # noqa: BLE001 – a question that fails, as in a rebalance, must not stop the stream
            self.log.warning("%s/%s: where the log begins could not be asked: %r", tp.topic, tp.partition, error)
            return
        if (missed := min(begins, found) - expected) > 0:
            self._missed += missed
            self.log.error(
                "%s/%s: retention deleted %s records, from offset %s on, before they could be judged",
                *(tp.topic, tp.partition, missed, expected),
            )

    def _went_back(self, tp: TP, expected: int, found: int) -> None:
        """Offsets below what was read come only of a topic that was made anew or cut short: judge and commit them.

        Left as it is, Faust would ignore each acknowledgement below the old committed offset.
        """
        self.log.warning(
            "%s/%s: expected offset %s, found %s; judging from there", tp.topic, tp.partition, expected, found
        )
        self._committed_offset[tp] = None
        self._acked[tp].clear()
        self._acked_index[tp].clear()


def _as_message(tp: TP, records: list[Any], generation: int) -> ConsumerMessage:
    """The list as one message of Faust; acknowledged, it stands for its last record."""
    last = records[-1]
    return ConsumerMessage(
        topic=tp.topic,
        partition=tp.partition,
        offset=last.offset,
        timestamp=last.timestamp / 1000,
        timestamp_type=0,
        headers=None,
        key=None,
        value=cast("Any", records),
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        tp=tp,
        generation_id=generation,
    )


class NoTables(tables.TableManager):
    """Faust's tables, of which the guard has none: stock, each start sleeps for a second, lest one come late."""

    async def on_start(self) -> None:
        """What is left of the start: rebalances go through the recovery of tables, though it has nothing to do."""
        await self._update_channels()
        await self.recovery.start()


class ListTransport(driver.Transport):
    """Faust's Kafka transport with the list consumer."""

    Consumer = ListConsumer


class ListSchema(faust.Schema[Any, Any]):
    """Hands the list through as it is: nothing is decoded before `guard.decode`."""

    def loads_key(self, app: AppT, message: Message, **_options: Any) -> Any:  # noqa: ARG002 – Faust's signature
        """No key: a list has none."""
        return None

    def loads_value(self, app: AppT, message: Message, **_options: Any) -> Any:  # noqa: ARG002 – as above
        """The list of records."""
        return message.value
