"""Retraining from a clean topic: what a guard passed and a reviewer released, and who is accused by its evidence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kafka.admin import NewTopic

from deploy.kafka.launcher import Broker
from guard.blame import PlaceState
from guard.cli.main import main
from guard.drift import DriftState
from guard.filter.evidence import DRIFT, EVIDENCE
from guard.sample import encode_samples
from guard.stream.evidence import Evidence
from tests.support.bundles import TABLE, draw_samples
from tests.support.held import config_of
from tests.support.retraining import filtered, trusted_table
from tests.support.topics import Message, Topics, make_topics, send
from training.snapshot import read_snapshot, write_snapshot

SOON, LONG_AGO = b"2100-01-01T00:00:00Z", b"2020-01-01T00:00:00Z"


def passed(origin: str, value: bytes, verdict: bytes = b"clean", when: bytes = SOON) -> Message:
    dated = b"guard-decision-time" if verdict == b"released" else b"guard-time"
    headers = (("guard-origin", origin.encode()), ("guard-verdict", verdict), (dated.decode(), when))
    return Message(value, headers=headers, partition=int(origin.split("/")[2]))


@pytest.fixture
def topics(broker: Broker) -> Topics:
    return make_topics(broker, 2)


def evidence_topic(broker: Broker, topics: Topics, judged: Path) -> str:
    """What a filter found, as guards keep it on Kafka."""
    sources = PlaceState.from_bytes((judged / EVIDENCE).read_bytes())
    state = Evidence.of(sources, DriftState.from_bytes((judged / DRIFT).read_bytes()))
    name = f"{topics.input}.evidence"
    admin = broker.admin()
    admin.create_topics([NewTopic(name, 1, 1, topic_configs={"cleanup.policy": "compact"})], wait_for_metadata=True)
    admin.close()
    send(broker.bootstrap, name, [Message(state.to_bytes(), key=state.place.encode()), Message(b"{}", key=b"damaged")])
    return name


def test_a_clean_topic_is_taken_each_origin_once_without_what_no_guard_passed(
    broker: Broker, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    judged = filtered(tmp_path / "judged", 60, wrong=60)
    evidence = evidence_topic(broker, topics, judged)
    x, y = draw_samples(TABLE, 8, 11)
    lines = encode_samples(TABLE, x, y, [*["sender 1"] * 7, "mallory"])
    messages = [
        passed("c/in/0/0", lines[0]),
        passed("c/in/0/0", lines[0]),
        passed("c/in/1/4", lines[1], b"released"),
        passed("c/in/1/5", lines[2], b"quarantined"),
        Message(lines[3]),
        passed("c/in/0/1", lines[4], when=LONG_AGO),
        passed("c/in/0/2", b"\xff\xfe no sample"),
        passed("c/in/0/3", lines[7]),
    ]
    send(broker.bootstrap, topics.clean, messages)
    config = config_of(broker, topics, tmp_path, evidence={"topic": evidence})
    write_snapshot(trusted_table(), Path("snapshot"))
    Path("policy.toml").write_text('[records]\nmax_age = "1000d"\n')
    command = ["retrain", "--snapshot", "snapshot", "--config", str(config), "--policy", "policy.toml"]
    assert main([*command, "--out", "candidate", "--snapshot-only"]) == 0
    assert "2 records passed over" in capsys.readouterr().err
    ledger = [json.loads(line) for line in Path("candidate/ledger.jsonl").read_text().splitlines()]
    assert {line["origin"]: line["reason"] for line in ledger} == {
        "c/in/0/0": None,
        "c/in/0/1": "too_old",
        "c/in/0/2": "malformed",
        "c/in/0/3": "accused_source",
        "c/in/1/4": None,
    }
    assert [line["origin"] for line in ledger if line["released"]] == ["c/in/1/4"]
    assert len(read_snapshot("candidate/snapshot").y) == 122


def test_a_topic_that_is_not_there_is_told(
    broker: Broker, topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(broker, topics, tmp_path)
    config.write_text(config.read_text().replace(topics.clean, "absent.clean"))
    write_snapshot(trusted_table(), tmp_path / "snapshot")
    (tmp_path / "policy.toml").write_text("")
    command = ["retrain", "--snapshot", str(tmp_path / "snapshot"), "--config", str(config)]
    assert main([*command, "--policy", str(tmp_path / "policy.toml"), "--out", str(tmp_path / "c")]) == 1
    assert "absent.clean cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
