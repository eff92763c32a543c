"""Every message of a real guard is one that schemas/asyncapi.yaml describes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from deploy.kafka.launcher import Broker
from guard.routing import Mode
from guard.schemas import ASYNCAPI
from guard.stream import headers
from tests.support.bundles import make_bundle
from tests.support.crowd import messages
from tests.support.messages import FOLDER, header_validator
from tests.support.topics import Message, Record, make_topics, read, send
from tests.support.worker import Worker, eventually, settings

RESERVED = ("guard-", headers.CONNECT)
SINKS = ("clean", "quarantine", "deadLetter")
ROOM = 40_000
"""`max.message.bytes` of the outputs: smaller than one record of the input, which therefore becomes a stub."""


@pytest.fixture(scope="module")
def document() -> Any:
    return YAML(typ="safe").load(FOLDER / ASYNCAPI)


@pytest.fixture(scope="module", params=["enforce", "observe"])
def written(
    request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, list[Record]]:
    """What a guard wrote into each of its outputs for a crowd of all kinds."""
    mode: Mode = request.param
    folder = tmp_path_factory.mktemp(mode)
    topics = make_topics(broker, output_settings={"max.message.bytes": str(ROOM)}, input_settings={})
    crowd = [*messages(2000, 3), Message(b'{"source":"' + b"a" * ROOM + b'"}')]
    send(broker.bootstrap, topics.input, crowd)
    sections = settings(broker.bootstrap, topics, make_bundle(folder / "bundle"), guard={"mode": mode})
    with Worker(folder, sections) as worker:
        eventually(lambda: worker.total("guard_records_total") >= len(crowd), "all are judged")
        worker.stop()
    found = read(broker.bootstrap, topics.sinks)
    return {name: found[topic] for name, topic in zip(SINKS, topics.sinks, strict=True)}


def own_headers(record: Record) -> dict[str, str]:
    """The guard's headers as text; each of them stands there once."""
    found = [(name, value) for name, value in record.headers if name.startswith(RESERVED)]
    assert len(dict(found)) == len(found), f"a header stands twice: {found}"
    return {name: (value or b"").decode("utf-8") for name, value in found}


@pytest.mark.parametrize("name", SINKS)
def test_headers_are_those_that_the_document_names(
    document: Any, written: Mapping[str, list[Record]], name: str
) -> None:
    validator = header_validator(document, name)
    for record in written[name]:
        validator.validate(own_headers(record))


def test_each_header_that_the_document_names_is_written(document: Any, written: Mapping[str, list[Record]]) -> None:
    seen = {header for records in written.values() for record in records for header in own_headers(record)}
    of_reviewers = {headers.REVIEWER, headers.DECISION, headers.DECISION_TIME}
    assert seen == set(document["components"]["schemas"]) - of_reviewers


def test_values_of_samples_are_of_the_samples_schema(written: Mapping[str, list[Record]]) -> None:
    schema = Draft202012Validator(json.loads((FOLDER / "sample.schema.json").read_text()))
    for record in (*written["clean"], *written["quarantine"]):
        schema.validate(json.loads(record.value or b""))


def test_origins_are_the_deduplication_key(written: Mapping[str, list[Record]]) -> None:
    origins = [own_headers(record)[headers.ORIGIN] for records in written.values() for record in records]
    assert len(set(origins)) == len(origins) == 2001
