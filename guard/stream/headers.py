"""The headers that the guard adds to each record, and those that it strips because a sender must not choose them.

Values are UTF-8. What a sender wrote reaches a header only within a message that is escaped and bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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
    "INSTANCE",
    "MEMBER",
    "MODEL",
    "MODEL_SHA256",
    "ORIGIN",
    "REASON",
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
_MESSAGE_BYTES = 1024
"""A detail that repeats a hostile key at full length would make headers larger than the record."""


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
        self._stamp = stamp
        self._topic = topic
        self._partition = partition
        self._same = same
        self._clean: list[Header] = [(VERDICT, Status.CLEAN.encode()), *same]
        self._prefix = f"{stamp.cluster}/{topic}/{partition}/".encode()

    def clean(self, offset: int, p_value: float) -> list[Header]:
        """Headers of a record that passes."""
        return [*self._clean, (SCORE, repr(p_value).encode()), (ORIGIN, b"%b%d" % (self._prefix, offset))]

    def marked(self, offset: int, verdict: Verdict) -> list[Header]:
        """Headers of any verdict, with its reason, score, member and suggestion where it has them."""
        told = {
            REASON: verdict.reason,
            SCORE: verdict.p_value,
            MEMBER: verdict.member,
            SUGGESTED_LABEL: verdict.suggested_label,
        }
        headers: list[Header] = [(VERDICT, verdict.status.encode()), *self._same]
        headers += [(name, _value(value)) for name, value in told.items() if value is not None]
        return [*headers, (ORIGIN, b"%b%d" % (self._prefix, offset))]

    def refused(self, offset: int, verdict: Verdict) -> list[Header]:
        """Headers on quarantine and dead letter: `marked`, and Kafka Connect's names for the same."""
        return self.marked(offset, verdict) + self._connect(offset, verdict)

    def stub(self, offset: int, verdict: Verdict, value_sha256: str) -> list[Header]:
        """Headers of the stub that stands for a record which no output can take."""
        return [*self.refused(offset, verdict), (VALUE_SHA256, value_sha256.encode())]

    def _connect(self, offset: int, verdict: Verdict) -> list[Header]:
        malformed = isinstance(verdict.reason, RejectReason)
        told: dict[str, str | int] = {
            CONNECT_TOPIC: self._topic,
            CONNECT_PARTITION: self._partition,
            CONNECT_OFFSET: offset,
            CONNECT_CONNECTOR: self._stamp.group,
            CONNECT_TASK: self._stamp.instance,
            CONNECT_STAGE: "VALUE_CONVERTER" if malformed else "TRANSFORMATION",
            CONNECT_CLASS: "guard.decode.Decoder" if malformed else "guard.judge.Judge",
            CONNECT_EXCEPTION: f"guard.verdict.{type(verdict.reason).__name__}",
            CONNECT_MESSAGE: _message(verdict),
        }
        return [(name, _value(value)) for name, value in told.items()]


def _message(verdict: Verdict) -> str:
    said: Sequence[str | None] = (verdict.reason, verdict.detail)
    return ": ".join(part for part in said if part)


def _number(value: float) -> bytes:
    return repr(value).encode()


def _value(value: str | float) -> bytes:
    if not isinstance(value, str):
        return _number(value)
    # A lone surrogate of a hostile key has no UTF-8, and a cut must not end within a character.
    return value.encode("utf-8", "replace")[:_MESSAGE_BYTES].decode("utf-8", "ignore").encode()
