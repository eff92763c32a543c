"""Real messages against the AsyncAPI document."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.support.prometheus import ROOT

FOLDER = ROOT / "schemas"


def header_validator(document: Any, message: str) -> Draft202012Validator:
    """Checks the headers of one kind of message, given as a mapping of text."""
    registry: Registry[Any] = Registry().with_resource("urn:asyncapi", Resource(document, DRAFT202012))
    return Draft202012Validator({"$ref": f"urn:asyncapi#/components/messages/{message}/headers"}, registry=registry)
