"""What the guard must know of its cluster before it writes: the id that origins begin with, and the outputs' limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from guard.errors import GuardError
from guard.stream.outgoing import KAFKA_BATCH_LIMIT
from guard.stream.security import Connection

__all__ = ["Facts", "read_facts"]

_ANSWER_MILLISECONDS = 10_000
_LIMIT = "max.message.bytes"


@dataclass(frozen=True)
class Facts:
    """`cluster`: its id; `record_bytes`: the smallest `max.message.bytes` of the outputs."""

    cluster: str
    record_bytes: int


def read_facts(connection: Connection, outputs: tuple[str, ...]) -> Facts:
    """Asks the brokers. A guard that may not read a topic's settings takes Kafka's default limit for it.

    Raises GuardError when no broker answers in time, or the cluster has no id.
    """
    from kafka.admin import ConfigResource, KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(
            **connection.admin, request_timeout_ms=_ANSWER_MILLISECONDS, bootstrap_timeout_ms=_ANSWER_MILLISECONDS
        )
        try:
            cluster = admin.describe_cluster().get("cluster_id")
            topics = [ConfigResource("topic", name, configs=[_LIMIT]) for name in outputs]
            found = admin.describe_configs(topics, config_filter="all").get("topic", {})
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise GuardError(
            f"no broker answers at {', '.join(connection.bootstrap)} ({type(error).__name__}: {error}). See whether it "
            "runs, and kafka.bootstrap, kafka.security and the credentials."
        ) from error
    if not cluster:
        raise GuardError("the cluster has no id, so records would have no origin. Use Kafka 2.1 or later.")
    return Facts(cluster, min(_limit(found.get(name, {})) for name in outputs))


def _limit(configs: dict[str, Any]) -> int:
    return int(configs.get(_LIMIT, {}).get("value") or KAFKA_BATCH_LIMIT)
