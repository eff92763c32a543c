"""Topics on a real broker: made once, as the guard needs them, and never changed afterwards."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.launcher import Broker
from guard.cli.main import main
from guard.stream.settings import GuardSettings
from guard.stream.topics import HEADER_ROOM, create_topics, topic_facts, wanted_topics
from tests.support.access import with_user
from tests.support.topics import Topics
from tests.support.worker import settings, toml

_COUNTER = itertools.count()
DAY = 86_400_000


@pytest.fixture
def names(broker: Broker) -> Topics:
    own = f"made{next(_COUNTER)}"
    return Topics(f"{own}.in", f"{own}.clean", f"{own}.held", f"{own}.dead")


def of(broker: Broker, names: Topics) -> GuardSettings:
    return GuardSettings(**settings(broker.bootstrap, names, Path("bundle")))


def made(admin: Any, wished: GuardSettings, **options: Any) -> list[str]:
    found = topic_facts(admin, wished.topics.input)
    return [outcome.what for outcome in create_topics(admin, wanted_topics(wished, found, **options))]


def test_all_are_made_alike_and_kept_longer_where_a_person_looks(broker: Broker, admin: Any, names: Topics) -> None:
    wished = of(broker, names)
    assert made(admin, wished, partitions=3, retention_days=2) == ["created"] * 5
    facts = topic_facts(admin, [names.input, *names.sinks])
    assert {topic.partitions for topic in facts.values()} == {3}
    kept = [int(facts[name].configs["retention.ms"]) // DAY for name in (names.input, *names.sinks)]
    assert kept == [2, 2, 30, 30]
    for name in names.sinks:
        configs = facts[name].configs
        assert configs["message.timestamp.type"] == "CreateTime"
        assert configs["cleanup.policy"] == "delete"
        assert int(configs["max.message.bytes"]) == int(facts[names.input].configs["max.message.bytes"]) + HEADER_ROOM
        assert int(configs["message.timestamp.after.max.ms"]) == 2**63 - 1
    (decisions,) = topic_facts(admin, [wished.topics.ledger]).values()
    assert (decisions.partitions, decisions.configs["cleanup.policy"]) == (3, "compact")


def test_a_second_time_does_nothing(broker: Broker, admin: Any, names: Topics) -> None:
    wished = of(broker, names)
    made(admin, wished, partitions=2)
    found = topic_facts(admin, wished.topics.input)
    again = create_topics(admin, wanted_topics(wished, found))
    assert [(outcome.what, outcome.differs) for outcome in again] == [("present", ())] * 5


def test_outputs_follow_an_input_that_is_there(broker: Broker, admin: Any, names: Topics) -> None:
    configs = {"max.message.bytes": "3000000", "retention.ms": "-1"}
    admin.create_topics(
        {names.input: {"num_partitions": 5, "replication_factor": 1, "configs": configs}}, wait_for_metadata=True
    )
    assert made(admin, of(broker, names)) == ["present", "created", "created", "created", "created"]
    facts = topic_facts(admin, names.sinks)
    assert {topic.partitions for topic in facts.values()} == {5}
    assert {topic.max_message_bytes for topic in facts.values()} == {3_000_000 + HEADER_ROOM}
    assert {topic.configs["retention.ms"] for topic in facts.values()} == {"-1"}


def test_what_differs_is_told_and_left_as_it_is(broker: Broker, admin: Any, names: Topics) -> None:
    configs = {"cleanup.policy": "compact", "max.message.bytes": "5000", "retention.ms": "1000"}
    admin.create_topics(
        {names.quarantine: {"num_partitions": 1, "replication_factor": 1, "configs": configs}}, wait_for_metadata=True
    )
    found = create_topics(admin, wanted_topics(of(broker, names), {}, partitions=2))
    told = {outcome.name: outcome for outcome in found}[names.quarantine]
    assert told.what == "present"
    differing = [difference.split(":")[0].split(",")[0] for difference in told.differs]
    assert differing[0] == "1 partitions"
    assert {word.split(" ")[0] for word in differing[1:]} >= {"cleanup.policy", "max.message.bytes", "retention.ms"}
    assert all(f"--topic {names.quarantine}" in difference for difference in told.differs)
    assert topic_facts(admin, [names.quarantine])[names.quarantine].max_message_bytes == 5000


def test_the_command(
    broker: Broker, admin: Any, names: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "guard.toml"
    config.write_text(toml(settings(broker.bootstrap, names, Path("bundle"))))
    command = ["topics", "create", "--config", str(config)]
    assert main([*command, "--dry-run", "--partitions", "2"]) == 0
    assert "would be created" in capsys.readouterr().out
    assert not any(topic.partitions for topic in topic_facts(admin, names.sinks).values())
    assert main([*command, "--partitions", "2"]) == 0
    assert capsys.readouterr().out.count(": created") == 5
    assert main([*command, "--partitions", "3", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [topic["what"] for topic in told["topics"]] == ["present"] * 5
    assert all("--partitions 3" in topic["differs"][0] for topic in told["topics"])


def test_a_guards_own_credentials_do_not_suffice(
    secured_broker: Broker, names: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_user(secured_broker, "plain-guard", "secret-word")
    (tmp_path / "password").write_text("secret-word\n")
    kafka = {
        "security": "sasl_ssl",
        "username": "plain-guard",
        "password_file": str(tmp_path / "password"),
        "ca_file": str(secured_broker.ca),
    }
    config = tmp_path / "guard.toml"
    config.write_text(toml(settings(secured_broker.sasl_bootstrap, names, Path("bundle"), kafka=kafka)))
    assert main(["topics", "create", "--config", str(config)]) == 1
    told = capsys.readouterr().err
    assert "GUARD_KAFKA__PASSWORD_FILE" in told
    assert "secret-word" not in told
