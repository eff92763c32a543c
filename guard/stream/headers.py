"""The headers that the guard adds to each record, and those that it strips because a sender must not choose them.

Values are UTF-8. What a sender wrote reaches a header only within a message that is escaped and bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from guard.verdict import RejectReason, Status, Verdict

__all__ = [
    "CONNECT",
    "CONNECT_CLASS",
    "CONNECT_CONNECTOR",
    "CONNECT_EXCEPTION",
    "CONNECT_MESSAGE",
    "CONNECT_OFFSET",
    "CONNECT_PARTITION",
    "CONNECT_STAGE",
    "CONNECT_TASK",
    "CONNECT_TOPIC",
    "DECISION",
    "DECISION_TIME",
    "INSTANCE",
    "MEMBER",
    "MODEL",
    "MODEL_SHA256",
    "ORIGIN",
    "REASON",
    "REVIEWER",
    "SCORE",
    "SUGGESTED_LABEL",
    "THRESHOLD",
    "TIME",
    "VALUE_SHA256",
    "VERDICT",
    "BatchHeaders",
    "GuardHeaders",
    "Header",
    "Stamp",
    "strip_forged",
]

Header = tuple[str, bytes | None]
"""One header as aiokafka reads and writes it."""

VERDICT = "guard-verdict"
REASON = "guard-reason"
SCORE = "guard-score"
THRESHOLD = "guard-threshold"
MEMBER = "guard-member"
SUGGESTED_LABEL = "guard-suggested-label"
MODEL = "guard-model"
MODEL_SHA256 = "guard-model-sha256"
ORIGIN = "guard-origin"
TIME = "guard-time"
INSTANCE = "guard-instance"
VALUE_SHA256 = "guard-value-sha256"

REVIEWER = "guard-reviewer"
DECISION = "guard-decision"
DECISION_TIME = "guard-decision-time"
"""On a released record: who released it, the id of the decision, and when."""

CONNECT = "__connect.errors."
"""Kafka Connect's names (KIP-298): tools that show dead letters read them."""

CONNECT_TOPIC = CONNECT + "topic"
CONNECT_PARTITION = CONNECT + "partition"
CONNECT_OFFSET = CONNECT + "offset"
CONNECT_CONNECTOR = CONNECT + "connector.name"
CONNECT_TASK = CONNECT + "task.id"
CONNECT_STAGE = CONNECT + "stage"
CONNECT_CLASS = CONNECT + "class.name"
CONNECT_EXCEPTION = CONNECT + "exception.class.name"
CONNECT_MESSAGE = CONNECT + "exception.message"

_TRUSTED = ("guard-", CONNECT)
_number = msgspec.json.Encoder().encode
"""The shortest digits that read as the same finite number: as `repr`, which takes seven times as long."""

_MESSAGE_BYTES = 1024
"""A detail that repeats a hostile key at full length would make headers larger than the record."""


_IN_DECODER: list[Header] = [
    (CONNECT_STAGE, b"VALUE_CONVERTER"),
    (CONNECT_CLASS, b"guard.decode.Decoder"),
    (CONNECT_EXCEPTION, b"guard.verdict.RejectReason"),
]
_IN_JUDGE: list[Header] = [
    (CONNECT_STAGE, b"TRANSFORMATION"),
    (CONNECT_CLASS, b"guard.judge.Judge"),
    (CONNECT_EXCEPTION, b"guard.verdict.HoldReason"),
]


def strip_forged(headers: Sequence[Header]) -> tuple[list[Header], int]:
    """The sender's headers without those that only the guard may write, in whatever case, and how many those were."""
    if not headers:
        return [], 0
    kept = [header for header in headers if not header[0].lower().startswith(_TRUSTED)]
    return kept, len(headers) - len(kept)


@dataclass(frozen=True)
class Stamp:
    """What is the same in all headers of one instance of the guard and one model.

    `model` is `name:version`, `digest` the SHA-256 of the bundle's manifest, `cluster` the id of the Kafka cluster,
    `group` the consumer group.
    """

    model: str
    digest: str
    threshold: float
    cluster: str
    group: str
    instance: str


class GuardHeaders:
    """Writes headers for one `Stamp`. What is the same for all records is encoded once, here."""

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp
        self._same: list[Header] = [
            (THRESHOLD, _number(stamp.threshold)),
            (MODEL, stamp.model.encode()),
            (MODEL_SHA256, stamp.digest.encode()),
            (INSTANCE, stamp.instance.encode()),
        ]

    def batch(self, topic: str, partition: int, judged: datetime) -> BatchHeaders:
        """The headers of records of one partition that were judged at one time."""
        time = judged.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return BatchHeaders(self.stamp, topic, partition, [*self._same, (TIME, time.encode())])


class BatchHeaders:
    """Writes the headers of the records of one batch. A clean record costs one formatted score and one offset."""

    def __init__(self, stamp: Stamp, topic: str, partition: int, same: list[Header]) -> None:
        self._same = same
        self._clean: list[Header] = [(VERDICT, Status.CLEAN.encode()), *same]
        self._origin = f"{stamp.cluster}/{topic}/{partition}/".replace("%", "%%").encode() + b"%d"
        self._place: list[Header] = [
            (CONNECT_TOPIC, topic.encode()),
            (CONNECT_PARTITION, b"%d" % partition),
            (CONNECT_CONNECTOR, _text(stamp.group)),
            (CONNECT_TASK, _text(stamp.instance)),
        ]

    def clean(self, offset: int, p_value: float) -> list[Header]:
        """Headers of a record that passes."""
        return [*self._clean, (SCORE, _number(p_value)), (ORIGIN, self._origin % offset)]

    def marked(self, offset: int, verdict: Verdict) -> list[Header]:
        """Headers of any verdict, with its reason, score, member and suggestion where it has them."""
        headers: list[Header] = [(VERDICT, verdict.status.encode()), *self._same]
        if verdict.reason is not None:
            headers.append((REASON, verdict.reason.encode()))
        if verdict.p_value is not None:
            headers.append((SCORE, _number(verdict.p_value)))
        if verdict.member is not None:
            headers.append((MEMBER, _text(verdict.member)))
        if (label := verdict.suggested_label) is not None:
            headers.append((SUGGESTED_LABEL, _text(label) if isinstance(label, str) else _number(label)))
        headers.append((ORIGIN, self._origin % offset))
        return headers

    def refused(self, offset: int, verdict: Verdict) -> list[Header]:
        """Headers on quarantine and dead letter: `marked`, and Kafka Connect's names for the same."""
        return self.marked(offset, verdict) + self._connect(offset, verdict)

    def stub(self, offset: int, verdict: Verdict, value_sha256: str) -> list[Header]:
        """Headers of the stub that stands for a record which no output can take."""
        return [*self.refused(offset, verdict), (VALUE_SHA256, value_sha256.encode())]

    def _connect(self, offset: int, verdict: Verdict) -> list[Header]:
        where = _IN_DECODER if isinstance(verdict.reason, RejectReason) else _IN_JUDGE
        return [
            *self._place,
            (CONNECT_OFFSET, b"%d" % offset),
            *where,
            (CONNECT_MESSAGE, _text(_message(verdict))),
        ]


def _message(verdict: Verdict) -> str:
    said: Sequence[str | None] = (verdict.reason, verdict.detail)
    return ": ".join(part for part in said if part)


def _text(value: str) -> bytes:
    if value.isascii():
        return value[:_MESSAGE_BYTES].encode()
    # A lone surrogate of a hostile key has no UTF-8, and a cut must not end within a character.
    return value.encode("utf-8", "replace")[:_MESSAGE_BYTES].decode("utf-8", "ignore").encode()
