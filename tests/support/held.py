"""Held records and reviewers: a quarantine that is filled as a guard fills it, and decisions as they are written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiokafka import AIOKafkaConsumer
from kafka.admin import NewTopic

from deploy.kafka.launcher import Broker
from guard.review.decision import Action, Decision, Place, new_id
from guard.review.held import Held, value_digest
from guard.rfc3339 import now_text
from guard.sample import encode_samples
from guard.stream.headers import GuardHeaders, Stamp
from guard.verdict import HoldReason, Status, Verdict
from tests.support.bundles import TABLE, draw_samples
from tests.support.crowd import OWN
from tests.support.topics import Message, Record, Topics, make_topics, read, send
from tests.support.worker import eventually, settings, toml

CLUSTER = "cluster-1"
JUDGED = datetime.now(UTC)
SENT_MS = int(JUDGED.timestamp() * 1000)
"""Brokers delete by the records' own times: what is not new is gone within minutes."""


def ledger_of(topics: Topics) -> str:
    """The decisions topic that settings give a guard of these topics."""
    return f"{topics.quarantine}.decisions"


def make_review_topics(broker: Broker, partitions: int = 1, **configs: str) -> Topics:
    """Topics of a guard, with the one for decisions."""
    topics = make_topics(broker, partitions)
    admin = broker.admin()
    wanted = NewTopic(ledger_of(topics), partitions, 1, topic_configs={"cleanup.policy": "compact", **configs})
    admin.create_topics([wanted], wait_for_metadata=True)
    admin.close()
    return topics


def held_messages(topics: Topics, count: int, seed: int = 0) -> list[Message]:
    """`count` records as a guard writes them into quarantine: keys, headers, reasons and scores of all kinds."""
    rng = np.random.default_rng(seed)
    x, y = draw_samples(TABLE, count, seed)
    sources = [f"sender {number}" for number in rng.integers(0, 5, count)]
    values = encode_samples(TABLE, x, (y + 1) % 3, sources, ids=[f"{seed}-{n}" for n in range(count)])
    stamp = Stamp("fruit:1", "0" * 64, 0.01, CLUSTER, "group", "guard-0")
    write = [GuardHeaders(stamp).batch(topics.input, n, JUDGED) for n in range(topics.partitions)]
    return [
        Message(
            value,
            key=None if number % 3 == 0 else b"k%d" % number,
            headers=(OWN if number % 4 == 0 else ())
            + tuple(write[number % topics.partitions].refused(number, verdict)),
            partition=number % topics.partitions,
            timestamp_ms=SENT_MS + number,
        )
        for number, (value, verdict) in enumerate(zip(values, _verdicts(count, rng), strict=True))
    ]


def _verdicts(count: int, rng: np.random.Generator) -> Sequence[Verdict]:
    held = Status.QUARANTINED
    return [
        Verdict(held, HoldReason.SUSPECT, float(p), 0.01, ("distance", "mimic")[number % 2], "pear")
        if number % 10
        else Verdict(held, HoldReason.UNKNOWN_LABEL, threshold=0.01)
        for number, p in enumerate(rng.uniform(1e-6, 0.01, count))
    ]


def fill(broker: Broker, topics: Topics, count: int, seed: int = 0) -> list[Message]:
    """Writes held records into the quarantine topic and returns them."""
    messages = held_messages(topics, count, seed)
    send(broker.bootstrap, topics.quarantine, messages)
    return messages


def config_of(
    broker: Broker,
    of: Topics,
    folder: Path,
    *,
    bootstrap: str | None = None,
    decisions: str | None = None,
    **sections: Any,
) -> Path:
    """A settings file for reviewers of these topics."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "guard.toml"
    found = settings(bootstrap or broker.bootstrap, of, folder / "bundle", **sections)
    found["topics"]["decisions"] = decisions
    path.write_text(toml(found))
    return path


def held_at(offset: int, partition: int = 0, **changes: Any) -> Held:
    """A held record that lies nowhere."""
    fields: dict[str, Any] = {
        "origin": f"{CLUSTER}/samples/{partition}/{offset}",
        "place": Place("samples.quarantine", partition, offset),
        "size": 2,
        "value_sha256": value_digest(b"{}"),
        "timestamp": 1_700_000_000_000 + offset,
        "judged": 1_700_000_000.0 + offset,
        "reason": "suspect",
        "member": "mimic",
        "p_value": 0.001,
        "threshold": 0.01,
        "suggested_label": "pear",
        "source": "alice",
        "label": "plum",
        "name": "",
        "model": "fruit:1",
        "model_sha256": "0" * 64,
    }
    return Held(**{**fields, **changes})


def decision_about(about: Held, action: Action, supersedes: str | None = None, **changes: Any) -> Decision:
    """A decision that can be believed."""
    decision = Decision(
        format=1,
        id=new_id(),
        origin=about.origin,
        action=action,
        reviewer="ana",
        why="looked at it",
        time=now_text(),
        held=about.place,
        value_sha256=about.value_sha256,
        released=Place("samples.clean", about.place.partition, 0) if action is Action.RELEASED else None,
        supersedes=supersedes,
    )
    return msgspec.structs.replace(decision, **changes)


def read_settled(bootstrap: str, names: Sequence[str]) -> dict[str, list[Record]]:
    """As `read`, when no transaction is open any more: a commit is confirmed some moments before readers see it."""
    eventually(lambda: asyncio.run(_settled(bootstrap, names)), "all transactions have ended", every=0.1)
    return read(bootstrap, names)


async def _settled(bootstrap: str, names: Sequence[str]) -> bool:
    found = []
    for level in ("read_committed", "read_uncommitted"):
        consumer = AIOKafkaConsumer(*names, bootstrap_servers=bootstrap, isolation_level=level)
        await consumer.start()
        found.append(await consumer.end_offsets(consumer.assignment()))
        await consumer.stop()
    return bool(found[0] == found[1])
