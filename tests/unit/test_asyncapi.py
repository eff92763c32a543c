"""The AsyncAPI document: in step with the code, sound by AsyncAPI's own schema, and true of what the guard writes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7
from ruamel.yaml import YAML

from guard.asyncapi import asyncapi, to_yaml
from guard.schemas import ASYNCAPI, render_asyncapi
from guard.stream import headers
from guard.verdict import HoldReason, RejectReason, Status
from tests.support.messages import FOLDER, header_validator
from tests.support.prometheus import ROOT


@pytest.fixture(scope="module")
def document() -> Any:
    return YAML(typ="safe").load(FOLDER / ASYNCAPI)


def test_committed_document_is_what_the_code_says() -> None:
    assert (FOLDER / ASYNCAPI).read_text() == render_asyncapi(), "run `make schemas` and commit schemas/"


def test_yaml_says_what_the_document_says() -> None:
    strange = {"a": {"$ref": "x", "b c": ["é", 1, None, True], "1": {}, "yes": [], 'q"': "line\nline: #"}}
    assert YAML(typ="safe").load(to_yaml(strange)) == strange
    made = asyncapi("1")
    assert YAML(typ="safe").load(to_yaml(made)) == made


def test_it_is_an_asyncapi_document(document: Any) -> None:
    path = ROOT / ".setup/asyncapi/3.0.0.json"
    if not path.exists():
        pytest.skip("no schema of AsyncAPI here: make asyncapi")
    schema = json.loads(path.read_text())
    parts = [(name, Resource(part, DRAFT7)) for name, part in schema["definitions"].items()]
    registry: Registry[Any] = Registry().with_resources(parts)
    jsonschema.Draft7Validator(schema, registry=registry).validate(document)
    document["channels"]["clean"]["adress"] = "misspelt"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema, registry=registry).validate(document)
    del document["channels"]["clean"]["adress"]


def test_every_reference_leads_somewhere(document: Any) -> None:
    for reference in references(document):
        if reference.startswith("#/"):
            found = document
            for part in reference.removeprefix("#/").split("/"):
                found = found[part]
        else:
            assert (FOLDER / reference).exists()


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for inner in value for found in references(inner)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for inner in value.values() for found in references(inner)]


def test_every_header_of_the_code_is_described(document: Any) -> None:
    names = {
        value
        for name, value in vars(headers).items()
        if name.isupper() and isinstance(value, str) and name in headers.__all__
    }
    assert set(document["components"]["schemas"]) == names - {headers.CONNECT}


def test_reasons_and_verdicts_are_the_closed_sets(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert schemas[headers.REASON]["enum"] == [*RejectReason, *HoldReason]
    assert schemas[headers.VERDICT]["enum"] == list(Status)


@pytest.mark.parametrize("name", ["clean", "quarantine", "deadLetter"])
def test_examples_are_messages_and_forgeries_are_not(document: Any, name: str) -> None:
    schema = document["components"]["messages"][name]["headers"]
    validator = header_validator(document, name)
    found = {key: document["components"]["schemas"][key]["examples"][0] for key in schema["required"]}
    found[headers.VERDICT] = schema["properties"][headers.VERDICT]["enum"][0]
    validator.validate({**found, "traceparent": "00-0af7"})
    for wrong in ({"guard-invented": "x"}, {headers.VERDICT: "released"}, {headers.MODEL_SHA256: "0"}):
        assert not validator.is_valid({**found, **wrong})
    for missing in found:
        assert not validator.is_valid({key: value for key, value in found.items() if key != missing})
