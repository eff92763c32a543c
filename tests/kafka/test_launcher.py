"""The launched broker is a real one: it answers, keeps its data, and lets in only whom it was told to."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import ssl
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from kafka.admin import NewTopic

from deploy.kafka import artefacts
from deploy.kafka.artefacts import BrokerUnavailable
from deploy.kafka.launcher import Broker
from tests.support.access import allow, sasl, with_user


async def send(bootstrap: str, topic: str, value: bytes, **security: object) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **security)
    try:
        await producer.start()
        await producer.send_and_wait(topic, value, partition=0)
    finally:
        await producer.stop()  # also one that could not start


async def read_first(bootstrap: str, topic: str) -> bytes:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        return (await consumer.getone()).value


def create(broker: Broker, *names: str) -> None:
    admin = broker.admin()
    admin.create_topics([NewTopic(name, 1, 1) for name in names], wait_for_metadata=True)
    admin.close()


def test_what_was_written_is_there_after_a_kill_and_a_restart_on_the_same_port(own_broker: Broker) -> None:
    create(own_broker, "kept")
    before = own_broker.bootstrap
    asyncio.run(send(own_broker.bootstrap, "kept", b"first"))
    own_broker.kill()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(before.rpartition(":")[2])))
    own_broker.start()
    assert own_broker.bootstrap == before
    assert asyncio.run(read_first(before, "kept")) == b"first"


def test_a_broker_takes_the_classes_that_the_first_one_left(broker: Broker) -> None:
    assert str(artefacts.CLASSES) in Path(f"/proc/{broker.pid}/maps").read_text()


def test_the_cluster_has_the_name_that_the_broker_says(broker: Broker, admin) -> None:
    assert admin.describe_cluster()["cluster_id"] == broker.cluster


def test_a_broker_that_cannot_start_says_why_and_leaves_no_process(tmp_path: Path, broker: Broker) -> None:
    wrong = Broker(tmp_path, settings={"log.retention.hours": "never"})
    with pytest.raises(BrokerUnavailable, match=r"log\.retention\.hours"):
        wrong.start()
    with pytest.raises(BrokerUnavailable, match="not running"):
        assert wrong.pid


def test_a_user_of_the_secured_broker_may_do_what_was_allowed_and_no_more(secured_broker: Broker) -> None:
    create(secured_broker, "open", "closed")
    user = with_user(secured_broker, "sender", "let-me-in")
    allow(secured_broker, "sender", "WRITE", topic="open")
    asyncio.run(send(secured_broker.sasl_bootstrap, "open", b"1", **user))
    with pytest.raises(TopicAuthorizationFailedError):
        asyncio.run(send(secured_broker.sasl_bootstrap, "closed", b"1", **user))
    wrong = sasl(secured_broker, "sender", "guessed")
    with pytest.raises(KafkaError):
        asyncio.run(send(secured_broker.sasl_bootstrap, "open", b"1", **wrong))


def test_a_client_certificate_is_the_user_that_it_names(secured_broker: Broker) -> None:
    create(secured_broker, "mutual")
    allow(secured_broker, "machine", "WRITE", topic="mutual")
    context = ssl.create_default_context(cafile=str(secured_broker.ca))
    anonymous = {"security_protocol": "SSL", "ssl_context": context}
    with pytest.raises(KafkaError):
        asyncio.run(send(secured_broker.mutual_bootstrap, "mutual", b"1", **anonymous))
    identity = secured_broker.client_certificate("machine")
    context.load_cert_chain(identity.certificate, identity.key)
    asyncio.run(send(secured_broker.mutual_bootstrap, "mutual", b"1", **anonymous))


@pytest.mark.parametrize("change", ["altered", "missing", "added"])
def test_jars_that_are_not_the_pinned_ones_do_not_run(
    change: str, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(artefacts.JARS, tmp_path / "jars", copy_function=os.link)
    victim = next((tmp_path / "jars").glob("kafka-clients-*.jar"))
    content = victim.read_bytes()
    victim.unlink()
    if change == "altered":
        victim.write_bytes(content + b"\0")
        assert hashlib.sha256(content).hexdigest() in (artefacts.HERE / "jars.sha256").read_text()
    if change == "added":
        victim.write_bytes(content)
        victim.with_name("stranger.jar").write_bytes(b"")
    monkeypatch.setattr(artefacts, "JARS", tmp_path / "jars")
    with pytest.raises(BrokerUnavailable, match="make kafka"):
        artefacts.checked_jars.__wrapped__()
