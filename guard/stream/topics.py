"""The topics of a guard: what they must be like, what they are like, and how they are made.

The outputs take whatever the input took: as many partitions, longer records (the guard adds headers), any timestamp,
any key. Quarantine and dead letters are kept at least as long as the input, because a person must get to them. The
decisions of reviewers are compacted and never deleted: a forgotten release could be released again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from guard.errors import GuardError
from guard.stream.settings import GuardSettings

__all__ = [
    "DEFAULT_MESSAGE_BYTES",
    "HEADER_ROOM",
    "TopicFacts",
    "TopicOutcome",
    "WantedTopic",
    "create_topics",
    "topic_facts",
    "wanted_topics",
]

HEADER_ROOM = 16 << 10
"""The guard's headers take 4 KiB at most. An output without room for them turns the longest records into stubs."""

DEFAULT_MESSAGE_BYTES = 1_048_588
"""Kafka's own `max.message.bytes`."""

_DAY_MS = 86_400_000
_DEFAULT_RETENTION_MS = 7 * _DAY_MS
_REVIEW_MS = 30 * _DAY_MS
"""How long held records wait for a person at least: longer than a holiday."""

_HISTORY_MS = 30 * _DAY_MS
"""How long every decision stays at least; after that, the last one of each record."""

_EVIDENCE = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(4 << 20),
    "min.cleanable.dirty.ratio": "0.1",
    "segment.bytes": str(16 << 20),
}
"""Only the last state of each partition counts. Small segments, since what is written to is never compacted, and who
starts reads all of it; the brokers' clocks, since they would refuse what a guard's clock puts into the future."""

_FOREVER = 2**63 - 1
_UNLIMITED = -1

_NOT_AUTHORIZED = 29
_ALREADY_EXISTS = 36


@dataclass(frozen=True)
class TopicFacts:
    """What a topic is like, as far as its user may see it.

    `partitions` is 0 where there is no such topic, or none that may be seen. `rights`: what the user may do, such as
    READ. `configs` is empty where the user may not see them.
    """

    name: str
    partitions: int
    replicas: int
    hidden: bool
    rights: frozenset[str]
    configs: Mapping[str, str]

    @property
    def max_message_bytes(self) -> int | None:
        """The longest batch that it takes; None where that cannot be seen."""
        text = self.configs.get("max.message.bytes")
        return None if text is None else int(text)


@dataclass(frozen=True)
class WantedTopic:
    """A topic as the guard wants it; of `configs`, limits are at least that much."""

    name: str
    partitions: int
    replicas: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class TopicOutcome:
    """What became of one wanted topic, and in what it `differs`, each with what to do."""

    name: str
    what: Literal["created", "present"]
    differs: tuple[str, ...] = field(default=())


def topic_facts(admin: Any, names: Sequence[str]) -> dict[str, TopicFacts]:
    """Asks for each topic by name. `admin`: a kafka-python `KafkaAdminClient`. Raises KafkaError."""
    from kafka.admin import ConfigResource, ConfigResourceType

    described = {topic["name"]: topic for topic in admin.describe_topics(list(names))}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {name: _facts(name, described[name], configs.get(name, {})) for name in names}


def wanted_topics(
    settings: GuardSettings,
    found: Mapping[str, TopicFacts],
    *,
    partitions: int | None = None,
    replicas: int | None = None,
    retention_days: float | None = None,
) -> tuple[WantedTopic, ...]:
    """The topics that `settings` name, with those of decisions and evidence. None follows the inputs that are `found`.

    Where there are none, they get 1 partition, 1 replica and 7 days.
    """
    inputs = [facts for name in settings.topics.input if (facts := found.get(name)) and facts.partitions]
    count = partitions or max((facts.partitions for facts in inputs), default=1)
    copies = replicas or max((facts.replicas for facts in inputs), default=1)
    kept = _kept(inputs) if retention_days is None else int(retention_days * _DAY_MS)
    longest = max((facts.max_message_bytes or DEFAULT_MESSAGE_BYTES for facts in inputs), default=DEFAULT_MESSAGE_BYTES)
    shared = {"min.insync.replicas": str(max(1, copies - 1)), "message.timestamp.type": "CreateTime"}
    output = {
        **shared,
        "cleanup.policy": "delete",
        "max.message.bytes": str(longest + HEADER_ROOM),
        "message.timestamp.after.max.ms": str(_FOREVER),
        "message.timestamp.before.max.ms": str(_FOREVER),
        "retention.ms": str(kept),
    }
    reviewed = {**output, "retention.ms": str(_longest([kept, _REVIEW_MS])), "retention.bytes": str(_UNLIMITED)}
    known = {facts.name for facts in inputs}
    configs = {name: {} if name in known else {**shared, "retention.ms": str(kept)} for name in settings.topics.input}
    configs |= {settings.topics.clean: output}
    configs |= {settings.topics.quarantine: reviewed, settings.topics.dead_letter: reviewed}
    configs |= {settings.topics.ledger: _decisions(shared)}
    wanted = [WantedTopic(name, count, copies, config) for name, config in configs.items()]
    if settings.evidence.topic is not None:
        wanted.append(WantedTopic(settings.evidence.topic, 1, copies, {**shared, **_EVIDENCE}))
    return tuple(wanted)


def create_topics(admin: Any, wanted: Sequence[WantedTopic], *, dry_run: bool = False) -> tuple[TopicOutcome, ...]:
    """Makes the topics that are missing, and says in what the others differ; changes none of those.

    With `dry_run` the brokers only check whether they would. Raises GuardError when they refuse, KafkaError.
    """
    names = [topic.name for topic in wanted]
    present = topic_facts(admin, names)
    missing = [topic for topic in wanted if not present[topic.name].partitions]
    made = _create(admin, missing, dry_run=dry_run) if missing else set()
    if missing:
        present = topic_facts(admin, names)  # somebody else may have made one in between
    return tuple(
        TopicOutcome(topic.name, "created")
        if topic.name in made
        else TopicOutcome(topic.name, "present", _differences(topic, present[topic.name]))
        for topic in wanted
    )


def _facts(name: str, described: Mapping[str, Any], configs: Mapping[str, Any]) -> TopicFacts:
    code, partitions = described["error_code"], described["partitions"]
    return TopicFacts(
        name=name,
        partitions=len(partitions) if code == 0 else 0,
        replicas=min((len(partition["replica_nodes"]) for partition in partitions), default=0),
        hidden=code == _NOT_AUTHORIZED,
        rights=frozenset(described["authorized_operations"] or ()),
        configs={key: config["value"] for key, config in configs.items() if config["value"] is not None},
    )


def _create(admin: Any, missing: Sequence[WantedTopic], *, dry_run: bool) -> set[str]:
    from kafka.errors import for_code

    request = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replicas,
            "configs": dict(topic.configs),
        }
        for topic in missing
    }
    answer = admin.create_topics(request, raise_errors=False, validate_only=dry_run)
    for topic in answer["topics"]:
        code = topic["error_code"]
        if code == _NOT_AUTHORIZED:
            raise GuardError(
                f"{topic['name']}: this user may not create topics, and a guard never should. Create them as an "
                "administrator: set GUARD_KAFKA__USERNAME and GUARD_KAFKA__PASSWORD_FILE for this command."
            )
        if code not in (0, _ALREADY_EXISTS):
            raise GuardError(f"{topic['name']}: the brokers refuse it ({for_code(code).__name__}: {_said(topic)}).")
    if not dry_run:
        admin.wait_for_topics(sorted(request))
    return {topic["name"] for topic in answer["topics"] if topic["error_code"] == 0}


def _said(topic: Mapping[str, Any]) -> str:
    return str(topic.get("error_message") or "without a reason")


def _differences(topic: WantedTopic, facts: TopicFacts) -> tuple[str, ...]:
    found = []
    if facts.partitions != topic.partitions:
        found.append(f"{facts.partitions} partitions, not {topic.partitions}: {_partition_advice(topic, facts)}")
    if facts.replicas < topic.replicas:
        found.append(f"{facts.replicas} replicas, not {topic.replicas}: kafka-reassign-partitions")
    for key, wanted in topic.configs.items():
        has = facts.configs.get(key)
        if has is not None and not _COMPARED.get(key, _same)(has, wanted):
            alter = f"kafka-configs --alter --topic {topic.name} --add-config {key}={wanted}"
            found.append(f"{key} is {has}, not {wanted}: {alter}")
    return tuple(found)


def _partition_advice(topic: WantedTopic, facts: TopicFacts) -> str:
    if facts.partitions < topic.partitions:
        return f"kafka-topics --alter --topic {topic.name} --partitions {topic.partitions}"
    return "partitions cannot be taken away; give the other topics as many"


def _same(has: str, wanted: str) -> bool:
    return has == wanted


def _at_least(has: str, wanted: str) -> bool:
    return int(has) == _UNLIMITED or (int(wanted) != _UNLIMITED and int(has) >= int(wanted))


_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "max.message.bytes": _at_least,
    "message.timestamp.after.max.ms": _at_least,
    "message.timestamp.before.max.ms": _at_least,
    "min.compaction.lag.ms": _at_least,
    "min.insync.replicas": _at_least,
    "retention.bytes": _at_least,
    "retention.ms": _at_least,
}


def _decisions(shared: Mapping[str, str]) -> dict[str, str]:
    """By the brokers' clocks, which no reviewer's clock can make refuse a decision."""
    return {
        **shared,
        "message.timestamp.type": "LogAppendTime",
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": str(_HISTORY_MS),
    }


def _kept(inputs: Sequence[TopicFacts]) -> int:
    """How long the input that is kept longest is kept, in milliseconds."""
    found = [int(facts.configs.get("retention.ms", _DEFAULT_RETENTION_MS)) for facts in inputs]
    return _longest(found or [_DEFAULT_RETENTION_MS])


def _longest(times: Sequence[int]) -> int:
    return _UNLIMITED if _UNLIMITED in times else max(times)
