"""What the guard must know of its cluster before it writes: the id that origins begin with, and the outputs' limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guard.errors import GuardError
from guard.stream.brokers import open_admin
from guard.stream.security import Connection
from guard.stream.topics import DEFAULT_MESSAGE_BYTES, topic_facts

__all__ = ["Facts", "read_facts"]


@dataclass(frozen=True)
class Facts:
    """`cluster`: its id; `record_bytes`: the smallest `max.message.bytes` of the outputs."""

    cluster: str
    record_bytes: int


def read_facts(connection: Connection, outputs: Sequence[str]) -> Facts:
    """Asks the brokers. For a topic whose settings this user may not read, Kafka's default limit is taken.

    Raises GuardError when no broker answers, or the cluster has no id. Not to be called from a running event loop.
    """
    with open_admin(connection) as admin:
        cluster = admin.describe_cluster().get("cluster_id")
        topics = topic_facts(admin, list(outputs))
    if not cluster:
        raise GuardError("the cluster has no id, so records would have no origin. Use Kafka 2.1 or later.")
    return Facts(cluster, min(topics[name].max_message_bytes or DEFAULT_MESSAGE_BYTES for name in outputs))
