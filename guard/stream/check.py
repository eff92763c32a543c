"""What would go wrong with a guard, found before it runs. Nothing is changed, and the answer comes in bounded time.

Most of this goes wrong without a word otherwise: a guard that may not read its group waits for ever, an output with
fewer partitions fails at the first record of the last one, a compacted quarantine forgets what it held.
"""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

from guard.errors import BundleRefused, GuardError, MissingRuntime, WrongUse
from guard.stream.brokers import BrokersUnreachable, knock, open_admin
from guard.stream.security import Connection, connection
from guard.stream.serving import open_bundle
from guard.stream.settings import GuardSettings, HttpSettings
from guard.stream.topics import DEFAULT_MESSAGE_BYTES, HEADER_ROOM, TopicFacts, topic_facts

__all__ = ["BrokerCheck", "Facts", "Finding", "Level", "check", "check_brokers", "check_model", "check_port"]

Level = Literal["ok", "warning", "error"]
"""`error`: the guard cannot run, or would lose or change records. `warning`: it runs, but not as may be meant."""

_GROUP_SECONDS = 15.0
"""The first group of a cluster waits for its topic of offsets to be made; a group that moves waits for its state."""

_PAUSE_SECONDS = 0.2

_FUTURE_SECONDS = 60.0
"""Clocks that are kept by NTP differ by far less; a record from further ahead makes latencies and alerts wrong."""

_LEAST_MESSAGE_BYTES = 2 * HEADER_ROOM
"""Below this a stub, which is all headers, may not fit: the guard would end at each record that is too large."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `advice` says what to do where it is not as it should be."""

    level: Level
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.what}. {self.advice}" if self.advice else f"{self.what}."


@dataclass(frozen=True)
class Facts:
    """What the guard must know of its cluster before it writes.

    `cluster`: its id, with which origins begin; `record_bytes`: the smallest `max.message.bytes` of the outputs, for
    one whose settings this user may not read Kafka's default; `inputs`: the partitions of each input.
    """

    cluster: str
    record_bytes: int
    inputs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class BrokerCheck:
    """What was found of the brokers; `facts` is None where the guard could not run."""

    findings: tuple[Finding, ...]
    facts: Facts | None


def check(settings: GuardSettings) -> tuple[Finding, ...]:
    """All findings for a guard with these `settings`. Not to be called from a running event loop."""
    return (*check_brokers(settings).findings, *check_model(settings), *check_port(settings.http))


def check_brokers(settings: GuardSettings) -> BrokerCheck:
    """Brokers, credentials, topics, rights, group and clock. Not to be called from a running event loop."""
    from kafka.errors import KafkaError

    found: list[Finding] = []
    facts = None
    try:
        words = connection(settings.kafka)
        found += _bootstrap(words)
        if not _failed(found):
            with open_admin(words) as admin:
                facts = _ask(admin, settings, found)
    except (WrongUse, BrokersUnreachable) as error:
        found.append(_refusal(error))
    except KafkaError as error:
        found.append(Finding("error", f"the brokers refuse a question: {error}", "See what they log."))
    return BrokerCheck(tuple(found), facts)


def check_model(settings: GuardSettings) -> tuple[Finding, ...]:
    """The bundle, verified in full, and the shadow. A shadow that is refused keeps no guard from running."""
    model, limit = settings.model, settings.guard.max_record_bytes
    found = []
    try:
        bundle = open_bundle(model.bundle, model, limit, pinned=True)
    except (BundleRefused, MissingRuntime, WrongUse) as error:
        return (_refusal(error),)
    card, alpha = bundle.manifest, bundle.alpha
    found.append(
        Finding("ok", f"bundle {card.name}:{card.version} verified, sha256 {bundle.digest}, α = {alpha.value:g}")
    )
    if alpha.extrapolated:
        low, high = alpha.band
        found.append(
            Finding(
                "warning",
                f"α = {alpha.value:g} is extrapolated from {alpha.calibration_rows} calibration rows: {low:.2%} to "
                f"{high:.2%} of clean samples may be held",
                "Set a larger model.alpha, or train on more trusted samples.",
            )
        )
    if model.shadow is not None:
        try:
            shadow = open_bundle(model.shadow, model, limit, pinned=False)
            found.append(Finding("ok", f"shadow bundle verified, sha256 {shadow.digest}"))
        except GuardError as error:
            found.append(Finding("warning", f"shadow: {error}", "The guard runs without it."))
    return tuple(found)


def check_port(http: HttpSettings) -> tuple[Finding, ...]:
    """Whether /metrics can be served where it should be."""
    where = f"{http.host}:{http.port}"
    try:
        family, *_, address = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM)[0]
        with closing(socket.create_server(address[:2], family=family)):
            return (Finding("ok", f"http.port: {where} is free"),)
    except OSError as error:
        why = f"http.port: {where} cannot be listened at ({error.strerror})"
        return (Finding("error", why, "Another guard may run there; write another http.port or http.host."),)


def _failed(found: Sequence[Finding]) -> bool:
    return any(finding.level == "error" for finding in found)


def _refusal(error: GuardError) -> Finding:
    """A refusal in its own words, which end with what to do."""
    what, _, advice = str(error).rpartition("; ")
    return Finding("error", what, _sentence(advice)) if what else Finding("error", advice.rstrip("."))


def _bootstrap(words: Connection) -> Iterator[Finding]:
    """Brokers should answer at each address of the settings, and at the names that they give themselves.

    One of several that is down is what a cluster is there for.
    """
    found = knock(words, words.bootstrap)
    level: Level = "error" if all(answer.fault for answer in found.values()) else "warning"
    for address, answer in found.items():
        where = f"kafka.bootstrap: {address}"
        yield _told(level, where, answer.fault) if answer.fault else Finding("ok", f"{where} answers")
    brokers = {name: number for answer in found.values() for number, name in answer.brokers.items()}
    named = knock(words, list(brokers))
    level = "error" if all(answer.fault for answer in named.values()) else "warning"
    for name, answer in named.items():
        if answer.fault:
            where = f"broker {brokers[name]} tells clients to come to {name}, where"
            yield _told(level, where, f"{answer.fault}; its advertised.listeners must be true here as well")


def _told(level: Level, where: str, fault: str) -> Finding:
    what, *advice = fault.split("; ")
    return Finding(level, f"{where}: {what}", " ".join(map(_sentence, advice)))


def _sentence(advice: str) -> str:
    return f"{advice[:1].upper()}{advice[1:].rstrip('.')}{'' if advice.endswith('?') else '.'}"


def _ask(admin: Any, settings: GuardSettings, found: list[Finding]) -> Facts | None:
    """Adds to `found`, up to the first part with an error: what comes after it would only repeat it."""
    cluster = admin.describe_cluster().get("cluster_id")
    if not cluster:
        why = "the cluster has no id, so records would have no origin"
        found.append(Finding("error", why, "Use Kafka 2.1 or later."))
        return None
    names = settings.topics
    topics = topic_facts(admin, [*names.input, *names.outputs])
    for part in (
        _presence(topics, settings),
        _topics(admin, topics, settings),
        _evidence(admin, settings),
        _group(admin, settings),
    ):
        found += part
        if _failed(found):
            return None
    record_bytes = min(topics[name].max_message_bytes or DEFAULT_MESSAGE_BYTES for name in names.outputs)
    return Facts(cluster, record_bytes, {name: topics[name].partitions for name in names.input})


def _topics(admin: Any, facts: Mapping[str, TopicFacts], settings: GuardSettings) -> Iterator[Finding]:
    names = settings.topics
    inputs = [facts[name] for name in names.input]
    yield from _partitions(facts)
    for name in names.outputs:
        yield from _output(facts[name], inputs)
    for name in (names.quarantine, names.dead_letter):
        yield from _retention(facts[name], inputs)
    yield from _clock(admin, inputs)


def _presence(facts: Mapping[str, TopicFacts], settings: GuardSettings) -> Iterator[Finding]:
    rights = dict.fromkeys(settings.topics.input, "READ") | dict.fromkeys(settings.topics.outputs, "WRITE")
    for name, right in rights.items():
        topic, allow = facts[name], _allow(settings, right, f"--topic {name}")
        if topic.hidden:
            yield Finding("error", f"topic {name}: it is not there, or this user may not see it", allow)
        elif not topic.partitions:
            yield Finding("error", f"topic {name}: it is not there", "Create it with `depois topics create`.")
        elif topic.rights and right not in topic.rights:
            yield Finding("error", f"topic {name}: this user may not {right} it", allow)
        else:
            yield Finding("ok", f"topic {name}: {topic.partitions} partitions, {right} allowed")


def _evidence(admin: Any, settings: GuardSettings) -> Iterator[Finding]:
    """The topic of evidence: read and written by every guard, and compacted, or it would grow for ever or forget."""
    name = settings.evidence.topic
    if name is None:
        return
    facts = topic_facts(admin, [name])[name]
    if not facts.partitions:
        yield Finding("error", f"topic {name}: it is not there, or hidden", "Create it with `depois topics create`.")
        return
    denied = [right for right in ("READ", "WRITE") if facts.rights and right not in facts.rights]
    for right in denied:
        yield Finding(
            "error", f"topic {name}: this user may not {right} it", _allow(settings, right, f"--topic {name}")
        )
    policy = facts.configs.get("cleanup.policy", "compact")
    if policy != "compact":
        advice = f"kafka-configs --alter --topic {name} --add-config cleanup.policy=compact."
        yield Finding("error", f"topic {name}: cleanup.policy is {policy}: evidence would be deleted", advice)
    elif not denied:
        yield Finding("ok", f"topic {name}: compacted, READ and WRITE allowed")


def _allow(settings: GuardSettings, right: str, resource: str) -> str:
    user = settings.kafka.username or "…"
    return f"Let it: kafka-acls --add --allow-principal User:{user} --operation {right} {resource}."


def _partitions(facts: Mapping[str, TopicFacts]) -> Iterator[Finding]:
    """A record is written to the partition number that it came from: each must be there on every side."""
    if len({topic.partitions for topic in facts.values()}) > 1:
        counts = ", ".join(f"{topic.name} {topic.partitions}" for topic in facts.values())
        most = max(topic.partitions for topic in facts.values())
        yield Finding("error", f"partitions differ: {counts}", f"Give each topic {most}: kafka-topics --alter.")


def _output(topic: TopicFacts, inputs: Sequence[TopicFacts]) -> Iterator[Finding]:
    if not topic.configs:
        advice = "Allow DESCRIBE_CONFIGS on it, or see to max.message.bytes and cleanup.policy yourself."
        yield Finding("warning", f"topic {topic.name}: its settings may not be seen", advice)
        return
    who, alter = f"topic {topic.name}", f"kafka-configs --alter --topic {topic.name} --add-config"
    policy, stamped = topic.configs.get("cleanup.policy", "delete"), topic.configs.get("message.timestamp.type")
    if "compact" in policy:
        why = "records with one key replace each other, and those without a key are refused"
        yield Finding("error", f"{who}: cleanup.policy is {policy}: {why}", f"{alter} cleanup.policy=delete.")
    if stamped == "LogAppendTime":
        advice = f"{alter} message.timestamp.type=CreateTime."
        yield Finding("error", f"{who}: message.timestamp.type is {stamped}: records lose their time", advice)
    if topic.replicas < int(topic.configs.get("min.insync.replicas", 1)):
        yield Finding(
            "error", f"{who}: fewer replicas than min.insync.replicas: nothing can be written", "Add replicas."
        )
    yield from _lengths(topic, inputs, alter)
    yield from _times(topic, inputs, alter)


def _lengths(topic: TopicFacts, inputs: Sequence[TopicFacts], alter: str) -> Iterator[Finding]:
    longest = max(found.max_message_bytes or DEFAULT_MESSAGE_BYTES for found in inputs)
    limit, wanted = topic.max_message_bytes or DEFAULT_MESSAGE_BYTES, longest + HEADER_ROOM
    if limit >= wanted:
        return
    level: Level = "error" if limit < _LEAST_MESSAGE_BYTES else "warning"
    what = (
        f"topic {topic.name}: max.message.bytes is {limit}, but the input takes {longest} without the guard's headers"
    )
    yield Finding(level, what, f"Longer records become stubs. {alter} max.message.bytes={wanted}.")


def _times(topic: TopicFacts, inputs: Sequence[TopicFacts], alter: str) -> Iterator[Finding]:
    """A record that an output refuses for its timestamp ends the guard, and again after each restart."""
    for key in ("message.timestamp.after.max.ms", "message.timestamp.before.max.ms"):
        limit = int(topic.configs.get(key, 2**63 - 1))
        taken = max(int(found.configs.get(key, limit)) for found in inputs)
        if limit < taken:
            what = f"topic {topic.name}: {key} is {limit}, but the input takes {taken}: such records end the guard"
            yield Finding("error", what, f"{alter} {key}={taken}.")


def _retention(topic: TopicFacts, inputs: Sequence[TopicFacts]) -> Iterator[Finding]:
    kept = [int(found.configs.get("retention.ms", -1)) for found in (topic, *inputs)]
    wanted = -1 if -1 in kept[1:] else max(kept[1:])
    if kept[0] != -1 and (wanted == -1 or kept[0] < wanted):
        longer = "ever" if wanted == -1 else f"{wanted} ms"
        what = f"topic {topic.name}: it is kept for {kept[0]} ms, the input for {longer}"
        advice = f"kafka-configs --alter --topic {topic.name} --add-config retention.ms={wanted}."
        yield Finding("warning", f"{what}: what is held may be gone before anybody looks", advice)


def _clock(admin: Any, inputs: Sequence[TopicFacts]) -> Iterator[Finding]:
    """The newest record of each input partition against this machine's clock: neither may be far ahead."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec
    from kafka.errors import UnsupportedVersionError

    places = [TopicPartition(topic.name, number) for topic in inputs for number in range(topic.partitions)]
    try:
        found = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.MAX_TIMESTAMP))
    except UnsupportedVersionError:
        return
    ahead = max(latest.timestamp for latest in found.values()) / 1000 - time.time()
    if ahead > _FUTURE_SECONDS:
        what = f"the newest input record is {ahead:.0f} s ahead of this machine's clock"
        yield Finding("warning", what, "See to the clocks of this machine, of the brokers and of the senders (NTP).")


def _group(admin: Any, settings: GuardSettings) -> Iterator[Finding]:
    """Asks to let a member leave that never was: who may not READ the group is told so, and nobody leaves."""
    from kafka.admin import MemberToRemove
    from kafka.errors import GroupAuthorizationFailedError, RetriableError

    group, nobody = settings.kafka.group, MemberToRemove(member_id=f"depois-guard-check-{uuid.uuid4()}")
    deadline = time.monotonic() + _GROUP_SECONDS
    while True:
        try:
            admin.remove_group_members(group, [nobody])
        except GroupAuthorizationFailedError:
            allow = _allow(settings, "READ", f"--group {group}")
            yield Finding("error", f"group {group}: this user may not READ it, and would wait for ever", allow)
        except RetriableError as error:
            if time.monotonic() < deadline:
                time.sleep(_PAUSE_SECONDS)
                continue
            advice = "See what the brokers log of __consumer_offsets."
            yield Finding("error", f"group {group}: it has no coordinator ({type(error).__name__})", advice)
        else:
            yield Finding("ok", f"group {group}: READ allowed")
        return
