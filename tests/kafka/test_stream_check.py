"""`depois guard check` on a real broker: each thing that would go wrong is found and named, and nothing is changed."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.launcher import Broker
from guard.cli.main import main
from guard.stream.check import Finding, check, check_brokers
from guard.stream.settings import GuardSettings
from tests.support.access import allow, with_user
from tests.support.bundles import make_bundle
from tests.support.topics import Message, Topics, make_topics, send
from tests.support.worker import Worker, settings, toml

_COUNTER = itertools.count()
ROOMY = {"max.message.bytes": "2000000"}
BOUND_SECONDS = 30


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "bundle")


def findings(bootstrap: str, topics: Topics, bundle: Path = Path("bundle"), **sections: Any) -> tuple[Finding, ...]:
    began = time.monotonic()
    found = check_brokers(GuardSettings(**settings(bootstrap, topics, bundle, **sections))).findings
    assert time.monotonic() - began < BOUND_SECONDS
    return found


def faults(found: tuple[Finding, ...], level: str = "error") -> str:
    return "\n".join(str(finding) for finding in found if finding.level == level)


def test_a_guard_that_can_run_has_nothing_to_hear(
    broker: Broker, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = make_topics(broker, 2, output_settings=ROOMY)
    config = tmp_path / "guard.toml"
    config.write_text(toml(settings(broker.bootstrap, topics, bundle, model={"alpha": 0.02})))
    assert main(["guard", "check", "--config", str(config), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ready"]
    assert {finding["level"] for finding in told["findings"]} == {"ok"}


def test_nothing_is_changed(broker: Broker, admin: Any) -> None:
    topics = make_topics(broker, output_settings=ROOMY)
    absent = Topics("absent.in", "absent.clean", "absent.held", "absent.dead")
    assert not faults(findings(broker.bootstrap, topics))
    assert faults(findings(broker.bootstrap, absent))
    assert not {name for name in admin.list_topics() if name.startswith("absent")}
    assert f"guard.{topics.input}" not in {group["group_id"] for group in admin.list_groups()}


def test_missing_topics_are_named(broker: Broker) -> None:
    topics = make_topics(broker)
    gone = Topics(topics.input, topics.clean, f"{topics.quarantine}.no", topics.dead_letter)
    told = faults(findings(broker.bootstrap, gone))
    assert f"topic {topics.quarantine}.no: it is not there. Create it with `depois topics create`." in told


def test_unequal_partition_counts_are_told_with_the_numbers(broker: Broker) -> None:
    wide, narrow = make_topics(broker, 3), make_topics(broker, 1)
    mixed = Topics(wide.input, wide.clean, narrow.quarantine, wide.dead_letter)
    told = faults(findings(broker.bootstrap, mixed))
    assert f"{wide.input} 3" in told
    assert f"{narrow.quarantine} 1" in told


OUTPUTS = {
    "cleanup.policy": ("compact", "error"),
    "message.timestamp.type": ("LogAppendTime", "error"),
    "message.timestamp.after.max.ms": ("1000", "error"),
    "message.timestamp.before.max.ms": ("1000", "error"),
    "min.insync.replicas": ("2", "error"),
    "max.message.bytes": ("9000", "error"),
    "retention.ms": ("60000", "warning"),
}


@pytest.mark.parametrize("key", OUTPUTS)
def test_settings_that_would_lose_or_change_records_are_told(broker: Broker, key: str) -> None:
    value, level = OUTPUTS[key]
    topics = make_topics(broker, output_settings={**ROOMY, key: value})
    assert key.removesuffix(".ms").split(".")[0] in faults(
        findings(broker.bootstrap, topics), level
    ) or "kept" in faults(findings(broker.bootstrap, topics), level)


def test_outputs_without_room_for_headers_are_a_warning(broker: Broker) -> None:
    found = findings(broker.bootstrap, make_topics(broker))
    assert not faults(found)
    assert faults(found, "warning").count("become stubs") == 3


def test_a_clock_that_is_behind_the_records_is_told(broker: Broker) -> None:
    topics = make_topics(broker, input_settings={"message.timestamp.after.max.ms": str(2**62)})
    future = int(time.time() * 1000) + 600_000
    send(broker.bootstrap, topics.input, [Message(b"{}", timestamp_ms=future)])
    assert "s ahead of this machine's clock" in faults(findings(broker.bootstrap, topics), "warning")


Secured = Callable[..., dict[str, Any]]


@pytest.fixture
def secured(secured_broker: Broker, tmp_path: Path) -> Secured:
    """The kafka section of a new user with a password; `file` holds it."""

    def make(password: str = "right-word", **others: Any) -> dict[str, Any]:  # noqa: S107
        user = f"guard-{next(_COUNTER)}"
        with_user(secured_broker, user, "right-word")
        (tmp_path / "password").write_text(password)
        own = {"security": "sasl_ssl", "username": user, "password_file": str(tmp_path / "password")}
        return {**own, "ca_file": str(secured_broker.ca), **others}

    return make


def permitted(broker: Broker, topics: Topics, user: str, leave_out: str = "") -> None:
    """The least that a guard needs."""
    for name, operation in {topics.input: "READ", **dict.fromkeys(topics.sinks, "WRITE")}.items():
        if name != leave_out:
            allow(broker, user, operation, topic=name)
    if leave_out != "group":
        allow(broker, user, "READ", group=f"guard.{topics.input}")


def test_the_least_rights_suffice(secured_broker: Broker, secured: Secured) -> None:
    topics, kafka = make_topics(secured_broker), secured()
    permitted(secured_broker, topics, kafka["username"])
    found = findings(secured_broker.sasl_bootstrap, topics, kafka=kafka)
    assert not faults(found)
    assert faults(found, "warning").count("DESCRIBE_CONFIGS") == 3


@pytest.mark.parametrize("missing", ["input", "clean", "quarantine", "dead_letter", "group"])
def test_each_right_that_is_missing_is_told_with_the_command(
    secured_broker: Broker, secured: Secured, missing: str
) -> None:
    topics, kafka = make_topics(secured_broker), secured()
    name = getattr(topics, missing, "group")
    permitted(secured_broker, topics, kafka["username"], leave_out=name)
    if missing == "clean":
        allow(secured_broker, kafka["username"], "READ", topic=name)  # it may be seen, but not written
    told = faults(findings(secured_broker.sasl_bootstrap, topics, kafka=kafka))
    right = "READ" if missing in ("input", "group") else "WRITE"
    resource = f"--group guard.{topics.input}" if missing == "group" else f"--topic {name}"
    assert f"--allow-principal User:{kafka['username']} --operation {right} {resource}" in told
    assert len(told.splitlines()) == 1


def test_a_wrong_password_is_told_as_one(secured_broker: Broker, secured: Secured, caplog: Any) -> None:
    kafka = secured("wrong-word")
    told = faults(findings(secured_broker.sasl_bootstrap, make_topics(secured_broker), kafka=kafka))
    assert "refuses the name or the password" in told
    assert "kafka.password_file" in told
    assert "wrong-word" not in told + caplog.text


def test_a_certificate_of_another_authority_is_told(secured_broker: Broker, secured: Secured) -> None:
    kafka = secured()
    del kafka["ca_file"]
    told = faults(findings(secured_broker.sasl_bootstrap, make_topics(secured_broker), kafka=kafka))
    assert "certificate is not trusted" in told
    assert "kafka.ca_file" in told


def test_listeners_of_another_protocol_are_told(secured_broker: Broker, secured: Secured) -> None:
    topics = make_topics(secured_broker)
    for bootstrap, kafka in (
        (secured_broker.bootstrap, secured()),
        (secured_broker.sasl_bootstrap, {}),
        (secured_broker.mutual_bootstrap, {"security": "ssl", "ca_file": str(secured_broker.ca)}),
    ):
        told = faults(findings(bootstrap, topics, kafka=kafka))
        assert "kafka.security" in told


def test_a_client_certificate_is_enough(secured_broker: Broker) -> None:
    topics, user = make_topics(secured_broker), f"guard-{next(_COUNTER)}"
    own = secured_broker.client_certificate(user)
    permitted(secured_broker, topics, user)
    kafka = {
        "security": "ssl",
        "ca_file": str(secured_broker.ca),
        "certificate_file": str(own.certificate),
        "key_file": str(own.key),
    }
    assert not faults(findings(secured_broker.mutual_bootstrap, topics, kafka=kafka))


@pytest.fixture
def silent() -> Iterator[str]:
    """A listener that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_brokers_that_are_not_there_are_told_in_bounded_time(silent: str) -> None:
    topics = Topics("in", "clean", "held", "dead")
    assert "nothing listens there" in faults(findings("127.0.0.1:1", topics))
    assert "no answer within" in faults(findings(silent, topics))
    away = {"bootstrap": ["nowhere.invalid:9092"], "allow_plaintext": True}
    assert "there is no such host" in faults(findings("", topics, kafka=away))


def test_one_broker_of_several_that_does_not_answer_is_a_warning(broker: Broker, silent: str) -> None:
    topics = make_topics(broker)
    found = findings("", topics, kafka={"bootstrap": [silent, broker.bootstrap]})
    assert not faults(found)
    assert f"kafka.bootstrap: {silent}" in faults(found, "warning")


def test_brokers_that_give_a_name_that_leads_nowhere_are_told(broker: Broker) -> None:
    """The proxied listener sends clients to a port at which no proxy listens."""
    told = faults(findings(f"127.0.0.1:{broker.proxied[0]}", make_topics(broker)))
    assert f"tells clients to come to {broker.proxied_bootstrap}" in told
    assert "advertised.listeners" in told


def test_bundle_and_port_are_looked_at_as_well(
    broker: Broker, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = make_topics(broker)
    with socket.create_server(("127.0.0.1", 0)) as server:
        own = settings(
            broker.bootstrap,
            topics,
            bundle,
            model={"sha256": "0" * 64, "shadow": str(tmp_path)},
            http={"port": server.getsockname()[1]},
        )
        told = faults(check(GuardSettings(**own)))
        config = tmp_path / "guard.toml"
        config.write_text(toml(own))
        assert main(["guard", "check", "--config", str(config)]) == 1
    assert "is pinned" in told
    assert "http.port" in told
    assert capsys.readouterr().out.endswith("2 errors, 3 warnings\n")


def test_a_guard_makes_the_same_checks_before_it_is_ready(
    secured_broker: Broker, secured: Secured, bundle: Path, tmp_path: Path
) -> None:
    """Without the checks it would wait for its group for ever, and say nothing."""
    topics, kafka = make_topics(secured_broker), secured()
    permitted(secured_broker, topics, kafka["username"], leave_out="group")
    guard = Worker(tmp_path, settings(secured_broker.sasl_bootstrap, topics, bundle, kafka=kafka))
    try:
        guard.start(wait=False)
        assert guard.exit_code() == 1
    finally:
        guard.kill()
    assert f"--operation READ --group guard.{topics.input}" in guard.log()
    assert "right-word" not in guard.log()
