"""The guard as a Faust app: it starts what the protocol needs, watches it, and ends at the first failure.

A failure ends the process with exit code 1 before anything is acknowledged that was not delivered; whoever runs the
guard starts it again. SIGTERM finishes the list that is being judged, commits and leaves the group.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import faust
import kafka.admin  # noqa: F401 – threads that import it at the same time, as they would at the start, can deadlock
import mode
import structlog
from aiokafka import AIOKafkaProducer
from faust.app.base import BootStrategy
from faust.types import TP

from guard.bundle import Bundle
from guard.errors import GuardError
from guard.routing import Sink
from guard.spec import ClassLabel
from guard.stream.backoff import back_off
from guard.stream.check import Facts, check_brokers
from guard.stream.delivery import Delivery
from guard.stream.lenient import read_leniently
from guard.stream.log import FRAMEWORK_LOGGER, configure_logging
from guard.stream.metrics import ModelCard, StreamMetrics
from guard.stream.outgoing import Limits
from guard.stream.protocol import Identity, Protocol
from guard.stream.remembered import Remembered
from guard.stream.security import Connection, connection
from guard.stream.server import Health, StatusServer
from guard.stream.serving import ReloadOutcome, Serving
from guard.stream.settings import GuardSettings
from guard.stream.transport import ListConsumer, ListSchema, ListTransport, NoTables, assert_internals
from guard.stream.watchdog import Stalled, Watchdog
from guard.stream.witness import Norm, Witness, norm_of, place_of

__all__ = ["GuardApp", "GuardWorker"]

_LOG = structlog.get_logger("guard.stream")

_QUEUED_LISTS = 1
"""Fetched lists that wait for the model: with those in work they bound memory, whatever the lag.

One keeps the model busy. More only age: at a low rate each would be a list of two or three records with a whole list's
overhead, where the records could wait together at the broker for the next fetch.
"""

_LEAVE_SECONDS = 10.0
"""For the orderly end of a guard that failed: leaving its group spares the others the session timeout."""

_COLLECT_AFTER = 100_000
"""New containers after which the collector looks for cycles among them: those of some tens of thousands of records."""

_FETCH_BYTES = 4 << 20
_BEAT_SECONDS = 1.0
_LAG_SECONDS = 2.0
_QUESTION_SECONDS = 5.0
"""How long a broker may take to tell its end offsets; a slower answer counts as none."""

_FLUSH_SECONDS = 2.0
"""Everything that was acknowledged is delivered before the producer is stopped: only a crash leaves it something."""


class _Boot(BootStrategy):
    """Neither Faust's web server, which answers OK unconditionally, nor its producer: the guard has its own of both."""

    enable_web = False
    enable_kafka_producer = False


class GuardWorker(faust.Worker):
    """Runs the app in the foreground: signals, exit code, and nothing written to standard output."""

    logger = FRAMEWORK_LOGGER

    def __init__(self, app: Any, *services: Any, **options: Any) -> None:
        options.update(quiet=True, override_logging=False, redirect_stdouts=False)
        super().__init__(app, *services, **options)
        self.spinner = None


class GuardApp(faust.App):
    """One guard: `settings` say what it reads, judges with and writes."""

    BootStrategy = _Boot
    logger = FRAMEWORK_LOGGER

    def __init__(self, settings: GuardSettings) -> None:
        assert_internals()
        read_leniently()
        configure_logging(settings.log)
        self.settings = settings
        self.connection = connection(settings.kafka)
        self.metrics = StreamMetrics(settings.guard.mode)
        self.health = Health(settings.guard.stall_seconds)
        super().__init__(settings.kafka.group, **_faust_settings(settings, self.connection))
        http = settings.http
        self._server = StatusServer(self.metrics, self.health, http.host, http.port, self._standings)
        self._watchdog = Watchdog(
            self._leave,
            self.health.not_ready,
            stall_seconds=settings.guard.stall_seconds,
            ready_seconds=settings.guard.ready_seconds,
        )
        self._out: Any = None
        self._witness: Witness | None = None
        self._remembered: Remembered | None = None
        self.on_partitions_assigned.connect(cast("Any", self._assigned))
        self.on_partitions_revoked.connect(cast("Any", self._revoked))
        source = self.topic(*settings.topics.input, schema=ListSchema())
        self.agent(source, name="guard", concurrency=1, supervisor_strategy=mode.CrashingSupervisor)(self._judge)

    def _new_transport(self) -> Any:
        return ListTransport(self.conf.broker_consumer, self)

    async def on_first_start(self) -> None:
        """Everything that may say no, before the first record is read. Raises GuardError."""
        await asyncio.to_thread(self._server.start)  # it has a loop of its own
        self._watchdog.start()
        self.add_future(self._beat())
        self._serving, facts = await asyncio.gather(
            asyncio.to_thread(self._open), asyncio.to_thread(_refuse_what_would_go_wrong, self.settings)
        )
        self.metrics.model(_card(self._serving.current), "current")
        if self._serving.shadow is not None:
            self.metrics.model(_card(self._serving.shadow), "shadow")
        self._out = back_off(AIOKafkaProducer(**_producer_settings(self.settings, self.connection, facts)))
        await self._out.start()
        self._facts = facts
        await self._open_witness()
        self._protocol = self._new_protocol(facts)
        _spare_the_collector()
        self.health.model_verified(True)  # noqa: FBT003 – one bit of state
        _LOG.info("serving", **_named(self._serving.current))

    async def on_started_init_extra_tasks(self) -> None:
        """What runs beside the stream from its start on."""
        await super().on_started_init_extra_tasks()
        self.add_future(self._watch_lag())
        if self._witness is not None:
            self.add_future(self._remember(self._witness))
        if self.settings.model.reload_seconds:
            self.add_future(self._reload())

    async def on_stop(self) -> None:
        """Finishes the list in work, commits, and closes what was opened; a step that hangs does not keep the rest."""
        self.health.model_verified(False)  # noqa: FBT003 – one bit of state
        guard = self.settings.guard
        failed = self.crash_reason is not None
        self._watchdog.ending(
            _LEAVE_SECONDS if failed else guard.scoring_timeout_seconds + guard.delivery_timeout_seconds
        )
        await super().on_stop()
        if self._remembered is not None and self._witness is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._witness.keep(), _FLUSH_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._remembered.stop(), _FLUSH_SECONDS)
        if self._out is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._out.stop(), _FLUSH_SECONDS)

    def _open(self) -> Serving:
        limit = self.settings.guard.max_record_bytes
        return Serving.open(self.settings.model, max_record_bytes=limit, watcher=self.metrics)

    async def _open_witness(self) -> None:
        evidence, facts = self.settings.evidence, self._facts
        if not evidence.count:
            return
        norm = await asyncio.to_thread(self._norm, self._serving.current)
        if evidence.topic is not None:
            self._remembered = Remembered(self.connection, evidence.topic)
            await self._remembered.start()
        places = {place_of(facts.cluster, name, n) for name, count in facts.inputs.items() for n in range(count)}
        self._witness = Witness(norm, facts.cluster, places, hold=evidence.hold_accused, remembered=self._remembered)

    def _norm(self, bundle: Bundle) -> Norm:
        return norm_of(bundle, self.settings.evidence, sum(self._facts.inputs.values()))

    def _standings(self) -> bytes:
        return b"{}" if self._witness is None else self._witness.standings()

    def _new_protocol(self, facts: Facts) -> Protocol:
        settings = self.settings
        topics = dict(zip((Sink.CLEAN, Sink.QUARANTINE, Sink.DEAD_LETTER), settings.topics.outputs, strict=True))
        return Protocol(
            Identity(facts.cluster, settings.kafka.group, settings.kafka.instance or socket.gethostname()),
            self._serving,
            Delivery(self._out, topics, settings.guard.delivery_timeout_seconds),
            Limits(_batch_bytes(settings, facts), facts.record_bytes),
            self.metrics,
            mode=settings.guard.mode,
            scoring_timeout_seconds=settings.guard.scoring_timeout_seconds,
            model_free=lambda: cast("ListConsumer", self.consumer).model_free(),
            witness=self._witness,
        )

    async def _judge(self, stream: Any) -> None:
        # Without noack(), Faust acknowledges a list also when judging it has failed.
        await self._protocol.run(stream.noack().events(), self._finished)

    async def _finished(self) -> None:
        self._watchdog.progress()
        self.health.progress()
        if self.settings.guard.commit_milliseconds == 0:
            await self.consumer.commit()  # 8; else Faust's timer does it

    async def _assigned(self, _app: Any, assigned: set[TP], **_: Any) -> None:
        self.metrics.rebalance()
        self.metrics.assigned((tp.topic, tp.partition) for tp in assigned)
        self.health.assigned(len(assigned))
        _LOG.info("assigned", partitions=sorted(f"{tp.topic}/{tp.partition}" for tp in assigned))

    async def _revoked(self, _app: Any, revoked: set[TP], **_: Any) -> None:
        """Nothing of these partitions is in work any more: whoever gets them goes on from what is written here."""
        if self._witness is not None:
            await self._witness.leave([(tp.topic, tp.partition) for tp in revoked])

    async def _remember(self, witness: Witness) -> None:
        """Tells other guards what was counted here, and takes note of theirs; what fails is tried again."""
        while not self.should_stop:
            await self.sleep(self.settings.evidence.keep_seconds)
            if not await witness.keep():
                self.metrics.evidence_not_written()
            try:
                await witness.listen()
            except Exception as error:  # noqa: BLE001 – whatever a client raises while brokers come and go
                _LOG.warning("evidence of other guards could not be read", reason=repr(error))

    async def _beat(self) -> None:
        while not self.should_stop:
            self._watchdog.beat()
            self.health.beat()
            await self.sleep(_BEAT_SECONDS)

    async def _watch_lag(self) -> None:
        while not self.should_stop:
            if self._witness is not None:
                self.metrics.sources(self._witness.accused, self._witness.followed)
                self.metrics.drift(self._witness.drift())
            if not await self._is_behind():
                self._watchdog.progress()
                self.health.progress()
            await self.sleep(_LAG_SECONDS)

    async def _is_behind(self) -> bool:
        """Whether records wait, as far as it can be told: brokers that are down are no stall of this process."""
        consumer = cast("ListConsumer", self.consumer)
        try:
            lags = await asyncio.wait_for(consumer.lags(), _QUESTION_SECONDS)
        except Exception:  # noqa: BLE001 – whatever a client raises while brokers come and go, it has not told
            return await self._is_reachable()
        self.metrics.missed(consumer.take_missed())
        for tp, records in lags.items():
            self.metrics.lag(tp.topic, tp.partition, records)
        return any(lags.values())

    async def _is_reachable(self) -> bool:
        """Whether brokers answer another client: then it is the consumer that hangs."""
        try:
            return bool(await asyncio.wait_for(self._out.client.force_metadata_update(), _QUESTION_SECONDS))
        except Exception:  # noqa: BLE001 – as above
            return False

    async def _reload(self) -> None:
        while not self.should_stop:
            await self.sleep(self.settings.model.reload_seconds)
            outcome = await asyncio.to_thread(self._serving.poll)
            if outcome is not None:
                await self._use(outcome)

    async def _use(self, outcome: ReloadOutcome) -> None:
        self.metrics.reload(outcome.role, refused=outcome.refused)
        if outcome.bundle is None:
            _LOG.error("bundle refused; the one that serves goes on", role=outcome.role, reason=outcome.error)
            return
        if outcome.role == "current":
            norm = await asyncio.to_thread(self._norm, outcome.bundle) if self._witness else None
            await self._protocol.swap(norm)
        self.metrics.model(_card(outcome.bundle), outcome.role)
        _LOG.info("bundle in use", role=outcome.role, **_named(outcome.bundle))

    def _leave(self, reason: Stalled) -> None:
        """The watchdog's thread asks for the end."""
        self.loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self.crash(reason)))


def _spare_the_collector() -> None:
    """Everything that is there now stays; of what comes, nearly all dies with its last reference.

    As Python sets it, the collector would look at the records and headers of a list some twenty times while they are
    in work: a tenth of all processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _refuse_what_would_go_wrong(settings: GuardSettings) -> Facts:
    """What Faust and Kafka pass over in silence. Raises GuardError."""
    found = check_brokers(settings)
    for finding in found.findings:
        if finding.level == "warning":
            _LOG.warning("check", finding=str(finding))
    if found.facts is None:
        raise GuardError("\n".join(str(finding) for finding in found.findings if finding.level == "error"))
    return found.facts


def _card(bundle: Bundle) -> ModelCard:
    card = bundle.manifest
    labels = card.spec.label.values if isinstance(card.spec.label, ClassLabel) else ()
    members = tuple(member.name for member in card.members)
    audited = card.audit is not None
    return ModelCard(card.name, card.version, bundle.digest, bundle.alpha.value, members, labels, audited)


def _named(bundle: Bundle) -> dict[str, Any]:
    card = bundle.manifest
    audited = card.audit is not None
    return {"model": card.name, "version": card.version, "digest": bundle.digest, "audited": audited}


def _batch_bytes(settings: GuardSettings, facts: Facts) -> int:
    return min(settings.guard.max_batch_bytes, facts.record_bytes)


def _producer_settings(settings: GuardSettings, connection: Connection, facts: Facts) -> dict[str, Any]:
    return {
        **connection.aiokafka,
        "client_id": f"{settings.kafka.group}-out",
        "acks": "all",
        "enable_idempotence": True,
        "max_batch_size": _batch_bytes(settings, facts),
        "request_timeout_ms": int(settings.guard.delivery_timeout_seconds * 1000),
    }


def _faust_settings(settings: GuardSettings, connection: Connection) -> Mapping[str, Any]:
    """Faust's settings. What is not told here either does nothing without tables, or is Kafka's own default."""
    kafka, guard = settings.kafka, settings.guard
    session = kafka.session_timeout_seconds
    return {
        "version": 1,  # another one is another consumer group
        "broker": connection.faust.url,
        "broker_credentials": connection.faust.credentials,
        "broker_client_id": kafka.group,
        "broker_session_timeout": session,
        "broker_heartbeat_interval": kafka.heartbeat_seconds,
        "broker_rebalance_timeout": max(session, guard.scoring_timeout_seconds + guard.delivery_timeout_seconds),
        "broker_request_timeout": max(90.0, 2 * session),  # Faust wants it above the session's
        "broker_commit_interval": (guard.commit_milliseconds or 1000) / 1000,
        "broker_max_poll_records": guard.batch_records,
        "consumer_group_instance_id": kafka.instance,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": _FETCH_BYTES,
        "stream_buffer_maxsize": _QUEUED_LISTS,
        "stream_wait_empty": True,  # a rebalance waits for the list in work
        "processing_guarantee": "at_least_once",
        "key_serializer": "raw",
        "value_serializer": "raw",
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "TableManager": NoTables,
        "table_standby_replicas": 0,
        "agent_supervisor": mode.CrashingSupervisor,
        "web_enabled": False,
        "worker_redirect_stdouts": False,
        "Worker": GuardWorker,
    }
