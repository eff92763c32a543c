"""The clean topic as records of a retraining: what a guard passed or a reviewer released, each origin once."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from guard.blame import Blame, PlaceState
from guard.rfc3339 import seconds_of
from guard.stream.export import export_topic
from guard.stream.headers import DECISION_TIME, ORIGIN, TIME, VERDICT
from guard.stream.remembered import Remembered
from guard.stream.security import Connection, connection
from guard.stream.settings import GuardSettings
from guard.verdict import Status
from training.retrain.intake import Record

__all__ = ["CleanTopic", "read_clean_topic"]

_TAKEN = {str(Status.CLEAN), str(Status.RELEASED)}


@dataclass(frozen=True)
class CleanTopic:
    """The clean topic `name`. `blame`: evidence about its sources, None where the guard keeps none.

    `strangers`: records that are passed over. They were not judged clean (a guard in mode `observe` passes suspects
    too), or carry no origin of a guard: somebody else wrote them. Who may write to the clean topic can write any
    header; that right is the protection.
    """

    name: str
    records: list[Record]
    strangers: int
    blame: Blame | None


def read_clean_topic(settings: GuardSettings) -> CleanTopic:
    """Everything in the clean topic of the guard with these `settings`. Raises GuardError when it cannot be read."""
    found: list[Record | None] = []
    topic, broker = settings.topics.clean, connection(settings.kafka)
    asyncio.run(export_topic(broker, topic, lambda line: found.append(_record(json.loads(line)))))
    records = [record for record in found if record is not None]
    evidence = settings.evidence.topic
    blame = None if evidence is None else _joined(asyncio.run(_read_states(broker, evidence)))
    return CleanTopic(topic, records, len(found) - len(records), blame)


async def _read_states(broker: Connection, topic: str) -> list[PlaceState]:
    remembered = Remembered(broker, topic)
    try:
        await remembered.start()
        return [one.sources for one in await remembered.news()]
    finally:
        await remembered.stop()


def _joined(states: Sequence[PlaceState]) -> Blame | None:
    """Evidence of all partitions together; of an older bundle it says only who is accused."""
    if not states:
        return None
    blame = Blame(states[-1].suspicion)
    for state in states:
        blame.hear(state)
    return blame


def _record(line: dict[str, Any]) -> Record | None:
    headers = dict(zip(line["headers"][::2], line["headers"][1::2], strict=False))
    origin, verdict = headers.get(ORIGIN), headers.get(VERDICT)
    if not origin or verdict not in _TAKEN:
        return None
    released = verdict == Status.RELEASED
    return Record(origin, _payload(line), released, seconds_of(headers.get(DECISION_TIME if released else TIME)))


def _payload(line: dict[str, Any]) -> bytes:
    if "payload_base64" in line:
        return base64.b64decode(line["payload_base64"])
    return (line["payload"] or "").encode()
