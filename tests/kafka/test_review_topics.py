"""Review of a real quarantine topic: what is shown, what is released, and what is refused."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.kafka.launcher import Broker
from guard.cli.main import main
from guard.errors import GuardError
from guard.review.decision import Action, encode_decision
from guard.review.desk import Outcome, Wish
from guard.review.filters import Filter
from guard.review.quarantine import unknown_decisions
from guard.review.topic_quarantine import TopicQuarantine, survey
from guard.review.topic_writer import transactional_id
from guard.stream.headers import CONNECT, ORIGIN, VERDICT
from guard.stream.settings import load_settings
from tests.support.access import allow, with_user
from tests.support.held import config_of, decision_about, fill, held_at, ledger_of, make_review_topics, read_settled
from tests.support.topics import Message, Topics, read, send

WHO = ["--reviewer", "ana", "--why", "looked at it"]
_COUNTER = itertools.count()


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return make_review_topics(broker, 2)


@pytest.fixture
def config(broker: Broker, topics: Topics, tmp_path: Path) -> Path:
    return config_of(broker, topics, tmp_path)


def at_work(config: Path, work: Callable[[TopicQuarantine], Awaitable[Any]]) -> Any:
    found = survey(load_settings(config))

    async def run() -> Any:
        quarantine = TopicQuarantine(found)
        try:
            await quarantine.open()
            return await work(quarantine)
        finally:
            await quarantine.close()

    return asyncio.run(run())


def wishes(quarantine: TopicQuarantine, action: Action, *numbers: int) -> list[Wish]:
    """About the records with these numbers, in the order of their places."""
    held = sorted(quarantine.desk.queue, key=lambda one: one.place)
    return [Wish(held[number], action, "ana", "why") for number in numbers]


def test_list_release_and_stats(
    broker: Broker, topics: Topics, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = fill(broker, topics, 30)
    here = ["--config", str(config)]
    assert main(["quarantine", "list", *here, "--limit", "0", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["origin"].encode() for row in rows} == {dict(message.headers)[ORIGIN] for message in held}
    assert main(["quarantine", "release", *here, "--source", "sender 1", *WHO, "--yes"]) == 0
    chosen = [row for row in rows if row["source"] == "sender 1"]
    capsys.readouterr()
    clean = read_settled(broker.bootstrap, [topics.clean])[topics.clean]
    assert sorted(record.value or b"" for record in clean) == sorted(
        message.value or b"" for message in held if b'"sender 1"' in (message.value or b"")
    )
    assert {dict(record.headers)[VERDICT] for record in clean} == {b"released"}
    assert not [name for record in clean for name, _ in record.headers if name.startswith(CONNECT)]
    assert main(["quarantine", "stats", *here, "--state", "all", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["undecided"], counts["released"]) == (30 - len(chosen), len(chosen))
    assert counts["expiring"] == {"24 hours": 0, "3 days": 0, "7 days": 30 - len(chosen)}
    assert main(["quarantine", "export", *here, "--state", "released"]) == 0
    assert capsys.readouterr().out.count("\n") == len(chosen)


def test_two_reviewers_in_turns_see_each_other_and_never_double(broker: Broker, topics: Topics, config: Path) -> None:
    fill(broker, topics, 10)
    found = survey(load_settings(config))

    async def both() -> list[list[Outcome]]:
        ana, bo = TopicQuarantine(found), TopicQuarantine(found)
        await ana.open()
        await bo.open()
        try:
            turns = [(ana, 0, 1), (bo, 1, 2), (ana, 2, 3), (ana, 3, 4), (bo, 4, 5)]
            return [await one.settle(wishes(one, Action.RELEASED, *numbers)) for one, *numbers in turns]
        finally:
            await ana.close()
            await bo.close()

    done = [sum(outcome.decision is not None for outcome in outcomes) for outcomes in asyncio.run(both())]
    assert done == [2, 1, 1, 1, 1]
    assert len(read_settled(broker.bootstrap, [topics.clean])[topics.clean]) == 6


def test_a_superseded_transaction_is_never_seen_and_is_done_again(broker: Broker, topics: Topics, config: Path) -> None:
    """Another reviewer takes the name between the release and the commit of this one."""
    fill(broker, topics, 4)
    found = survey(load_settings(config))

    async def work() -> list[Outcome]:
        quarantine, other = TopicQuarantine(found), TopicQuarantine(found)
        await quarantine.open()
        await other.open()
        commit, writer = AIOKafkaProducer.commit_transaction, quarantine._writer
        await writer.take_name()

        async def late(producer: AIOKafkaProducer) -> None:
            await other._writer.take_name()
            await commit(producer)

        writer._producer.commit_transaction = lambda: late(producer)
        producer = writer._producer
        try:
            return await quarantine.settle(wishes(quarantine, Action.RELEASED, 0, 1))
        finally:
            await quarantine.close()
            await other.close()

    outcomes = asyncio.run(work())
    assert all(outcome.decision for outcome in outcomes)
    assert len(read_settled(broker.bootstrap, [topics.clean])[topics.clean]) == 2
    unread = read(broker.bootstrap, [topics.clean], isolation_level="read_uncommitted")[topics.clean]
    assert len(unread) == 4, "those of the superseded transaction lie there, aborted"


def test_a_lost_answer_to_a_commit_is_found_out(broker: Broker, topics: Topics, config: Path) -> None:
    fill(broker, topics, 4)

    async def work(quarantine: TopicQuarantine) -> list[Outcome]:
        await quarantine._take_name()
        producer = quarantine._writer._producer
        commit = producer.commit_transaction

        async def answer_lost() -> None:
            await commit()
            raise TimeoutError

        producer.commit_transaction = answer_lost
        return await quarantine.settle(wishes(quarantine, Action.RELEASED, 0, 1))

    outcomes = at_work(config, work)
    assert all(outcome.decision for outcome in outcomes)
    assert len(read_settled(broker.bootstrap, [topics.clean])[topics.clean]) == 2
    assert len(read_settled(broker.bootstrap, [ledger_of(topics)])[ledger_of(topics)]) == 2


def test_foreign_forged_and_deleted_records_are_counted_and_change_nothing(
    broker: Broker, topics: Topics, config: Path
) -> None:
    messages = fill(broker, topics, 4)
    send(
        broker.bootstrap,
        topics.quarantine,
        [Message(b"foreign"), Message(None, key=b"k"), Message(b"{}", headers=FORGED)],
    )
    send(broker.bootstrap, topics.quarantine, messages[:1])
    send(broker.bootstrap, topics.quarantine, [messages[1]._replace(value=b'{"forged": 1}')])

    async def forge(quarantine: TopicQuarantine) -> None:
        held = quarantine.desk.queue.take([0])[0]
        nowhere = held_at(77, held.place.partition)
        forged = [
            Message(b"\x00\x00\x00\x00\x01avro", key=held.origin.encode()),
            Message(encode_decision(decision_about(held, Action.REJECTED)), key=b"another"),
            Message(encode_decision(decision_about(held, Action.REJECTED)), key=held.origin.encode(), partition=1),
            Message(encode_decision(decision_about(held, Action.REOPENED)), key=held.origin.encode()),
            Message(None, key=held.origin.encode()),
            Message(encode_decision(decision_about(nowhere, Action.REJECTED)), key=nowhere.origin.encode()),
        ]
        forged = [
            one._replace(partition=1 - held.place.partition if one.partition else held.place.partition)
            for one in forged
        ]
        await asyncio.to_thread(send, broker.bootstrap, ledger_of(topics), forged)
        await quarantine.refresh()
        desk = quarantine.desk
        assert {str(kind): count for kind, count in desk.ledger.disbelieved.items()} == {
            "no_decision": 1,
            "wrong_key": 1,
            "wrong_place": 1,
            "impossible_step": 1,
            "deleted": 1,
        }
        assert unknown_decisions(quarantine) == 1
        assert (desk.foreign, desk.queue.copies, len(desk.queue.disputed)) == (3, 2, 1)
        assert desk.ledger.state(held.origin) is None
        outcomes = await quarantine.settle(wishes(quarantine, Action.RELEASED, 0, 1, 2, 3))
        assert sorted("forged" in (outcome.objection or "") for outcome in outcomes) == [False, False, False, True]

    at_work(config, forge)
    assert len(read_settled(broker.bootstrap, [topics.clean])[topics.clean]) == 3


FORGED = (("guard-verdict", b"quarantined"), ("guard-origin", b"a/b/0/1"), ("guard-origin", b"a/b/0/2"))


def test_what_has_expired_is_told_and_not_decided(broker: Broker, topics: Topics, config: Path) -> None:
    fill(broker, topics, 10)

    async def work(quarantine: TopicQuarantine) -> list[Outcome]:
        from kafka import TopicPartition

        admin = broker.admin()
        admin.delete_records({TopicPartition(topics.quarantine, 0): 3})
        admin.close()
        outcomes = await quarantine.settle(wishes(quarantine, Action.RELEASED, *range(10)))
        await quarantine.refresh()
        assert quarantine.retention.lost == 3
        assert len(quarantine.desk.queue.find(Filter(state="expired"))) == 3
        assert len(quarantine.desk.queue.find(Filter())) == 0
        return outcomes

    outcomes = at_work(config, work)
    assert (
        sorted(outcome.objection or "" for outcome in outcomes)[-3:]
        == ["it has expired: the quarantine topic holds it no longer"] * 3
    )
    assert len(read_settled(broker.bootstrap, [topics.clean])[topics.clean]) == 7


def test_a_record_that_clean_does_not_take_is_refused_alone(broker: Broker, tmp_path: Path) -> None:
    topics = make_review_topics(broker)
    config = config_of(broker, topics, tmp_path)
    messages = fill(broker, topics, 3)
    large = messages[1]._replace(
        value=b'{"source":"' + b"a" * 200_000 + b'"}', headers=((ORIGIN, b"c/t/0/77"), *without_origin(messages[1]))
    )
    send(broker.bootstrap, topics.quarantine, [large])
    from kafka.admin import ConfigResource, ConfigResourceType

    admin = broker.admin()
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topics.clean, {"max.message.bytes": "100000"})])
    admin.close()
    outcomes = at_work(config, lambda q: q.settle(wishes(q, Action.RELEASED, 0, 1, 2, 3)))
    objections = [outcome.objection for outcome in outcomes if outcome.decision is None]
    assert objections == ["it is larger than the clean topic takes; raise max.message.bytes there"]
    assert len(read_settled(broker.bootstrap, [topics.clean])[topics.clean]) == 3


def without_origin(message: Message) -> list[tuple[str, bytes | None]]:
    return [header for header in message.headers if header[0] != ORIGIN]


def test_a_decisions_topic_that_forgets_is_refused(broker: Broker, tmp_path: Path) -> None:
    topics = make_review_topics(broker, **{"cleanup.policy": "delete"})
    with pytest.raises(GuardError, match=r"cleanup\.policy=compact"):
        survey(load_settings(config_of(broker, topics, tmp_path)))


def test_missing_topics_are_told_with_what_to_do(broker: Broker, topics: Topics, tmp_path: Path) -> None:
    config = config_of(broker, topics, tmp_path, decisions="nowhere")
    with pytest.raises(GuardError, match=r"topic nowhere is not there.*depois topics create"):
        survey(load_settings(config))


def test_a_foreign_transaction_that_stays_open_is_told(
    broker: Broker, topics: Topics, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(broker, topics, 2)
    monkeypatch.setattr("guard.review.topic_tail._SETTLED_SECONDS", 0.5)

    async def work(quarantine: TopicQuarantine) -> None:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=f"m{next(_COUNTER)}") as other:
            await other.begin_transaction()
            await other.send_and_wait(ledger_of(topics), b"x", key=b"k", partition=0)
            with pytest.raises(GuardError, match="transaction of somebody else"):
                await quarantine.settle(wishes(quarantine, Action.REJECTED, 0))
            await other.abort_transaction()
        assert (await quarantine.settle(wishes(quarantine, Action.REJECTED, 0)))[0].decision

    at_work(config, work)


RIGHTS = {
    "quarantine": ("READ", "DESCRIBE_CONFIGS"),
    "clean": ("WRITE",),
    "decisions": ("READ", "WRITE", "DESCRIBE_CONFIGS"),
}


def test_a_reviewer_needs_no_more_than_these_rights(
    secured_broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = make_review_topics(secured_broker)
    fill(secured_broker, topics, 3)
    with_user(secured_broker, "ana", "secret-word")
    (tmp_path / "password").write_text("secret-word\n")
    kafka = {
        "security": "sasl_ssl",
        "username": "ana",
        "password_file": str(tmp_path / "password"),
        "ca_file": str(secured_broker.ca),
    }
    config = config_of(secured_broker, topics, tmp_path, bootstrap=secured_broker.sasl_bootstrap, kafka=kafka)
    names = {"quarantine": topics.quarantine, "clean": topics.clean, "decisions": ledger_of(topics)}
    command = ["quarantine", "release", "--config", str(config), "--all", "--why", "right", "--yes"]
    assert main(command) == 1
    assert "may not see it" in capsys.readouterr().err
    for part, rights in RIGHTS.items():
        for right in rights:
            allow(secured_broker, "ana", right, topic=names[part])
    assert main(command) == 1
    told = capsys.readouterr().err
    assert f"--operation WRITE --transactional-id {transactional_id(ledger_of(topics))}" in told
    assert "secret-word" not in told
    allow_name(secured_broker, "ana", transactional_id(ledger_of(topics)))
    assert main(command) == 0
    (record, *_) = read_settled(secured_broker.bootstrap, [topics.clean])[topics.clean]
    assert dict(record.headers)["guard-reviewer"] == b"ana"


def allow_name(broker: Broker, user: str, name: str) -> None:
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType

    admin = broker.admin()
    pattern = ResourcePattern(ResourceType.TRANSACTIONAL_ID, name)
    admin.create_acls([ACL(f"User:{user}", "*", ACLOperation.WRITE, ACLPermissionType.ALLOW, pattern)])
    admin.close()
