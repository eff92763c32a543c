"""The connection: the same credentials in the words of three clients, and shown by none."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import faust
import pytest

from guard.errors import WrongUse
from guard.stream.security import connection
from guard.stream.settings import KafkaSettings


def kafka(**settings: Any) -> KafkaSettings:
    return KafkaSettings(bootstrap=("localhost:9092", "127.0.0.1:9093"), **settings)


def with_password(path: Path, content: bytes, **settings: Any) -> KafkaSettings:
    path.write_bytes(content)
    return kafka(security="sasl_ssl", username="guard", password_file=path, **settings)


def test_plaintext_has_neither_credentials_nor_certificates() -> None:
    found = connection(kafka())
    assert found.faust.url == ["kafka://localhost:9092", "kafka://127.0.0.1:9093"]
    assert found.faust.credentials is None
    wanted = {"bootstrap_servers": ["localhost:9092", "127.0.0.1:9093"], "security_protocol": "PLAINTEXT"}
    assert found.aiokafka == found.admin == wanted


def test_three_clients_get_the_same_credentials(tmp_path: Path) -> None:
    found = connection(with_password(tmp_path / "password", b"hunter2\n", mechanism="SCRAM-SHA-256"))
    credentials = found.faust.credentials
    assert isinstance(credentials, faust.SASLCredentials)
    assert (credentials.username, credentials.password) == ("guard", "hunter2")
    assert credentials.protocol.value == "SASL_SSL"
    for words in (found.aiokafka, found.admin):
        assert words["sasl_plain_password"] == "hunter2"  # noqa: S105
        assert words["sasl_mechanism"] == credentials.mechanism.value == "SCRAM-SHA-256"
        assert words["ssl_context"] is credentials.ssl_context


def test_the_broker_must_prove_who_it_is(tmp_path: Path) -> None:
    context = connection(with_password(tmp_path / "password", b"hunter2")).context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_ssl_without_a_name_is_told_to_faust() -> None:
    credentials = connection(kafka(security="ssl")).faust.credentials
    assert isinstance(credentials, faust.SSLCredentials)
    assert credentials.protocol.value == "SSL"


def test_no_log_line_shows_the_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """kafka-python writes its configuration at level DEBUG; a name that leads nowhere makes it end at once."""
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    found = connection(with_password(tmp_path / "password", b"hunter2"))
    words = {**found.admin, "bootstrap_servers": "localhost:1", "bootstrap_timeout_ms": 1}
    with caplog.at_level(logging.DEBUG), pytest.raises(KafkaError):
        KafkaAdminClient(**words)
    assert "sasl_plain_password" in caplog.text
    assert "hunter2" not in caplog.text
    assert "hunter2" not in f"{found!r} {found.aiokafka} {found.faust}"


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 100_000, b"\xff"])
def test_a_file_without_a_password_is_refused_by_its_key(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(WrongUse, match=r"^kafka\.password_file: .*password"):
        connection(with_password(tmp_path / "password", content))


def test_files_that_are_not_there_are_told_by_their_key(tmp_path: Path) -> None:
    absent = tmp_path / "absent.pem"
    with pytest.raises(WrongUse, match=r"^kafka\.ca_file: .*absent\.pem cannot be read \(No such file"):
        connection(kafka(security="ssl", ca_file=absent))
    with pytest.raises(WrongUse, match=r"^kafka\.certificate_file: .*absent\.pem cannot be read"):
        connection(kafka(security="ssl", certificate_file=absent, key_file=absent))
    with pytest.raises(WrongUse, match=r"^kafka\.password_file: .*absent\.pem cannot be read"):
        connection(kafka(security="sasl_ssl", username="guard", password_file=absent))


def test_files_that_hold_something_else_are_told_by_their_key(tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("no certificate")
    with pytest.raises(WrongUse, match=r"^kafka\.ca_file: .*does not hold"):
        connection(kafka(security="ssl", ca_file=other))
    with pytest.raises(WrongUse, match=r"^kafka\.certificate_file: .*does not hold"):
        connection(kafka(security="ssl", certificate_file=other, key_file=other))
