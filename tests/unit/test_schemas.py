from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from guard.schemas import ASYNCAPI, SCHEMAS, Schema, render, write_schemas
from guard.verdict import HoldReason, RejectReason, Status, Verdict

FOLDER = Path(__file__).parents[2] / "schemas"


def load(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((FOLDER / f"{name}.schema.json").read_text()))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_committed_schema_is_what_the_types_say(schema: Schema) -> None:
    committed = (FOLDER / f"{schema.name}.schema.json").read_text()
    assert committed == render(schema), "the types changed: run `make schemas` and commit schemas/"


def test_folder_holds_no_other_schema() -> None:
    assert {path.name for path in FOLDER.glob("*.schema.json")} == {f"{schema.name}.schema.json" for schema in SCHEMAS}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)
def test_schema_is_valid_under_its_dialect(schema: Schema) -> None:
    document = json.loads(render(schema))
    jsonschema.validators.validator_for(document).check_schema(document)
    assert document["$id"] == f"urn:depois-guard:schema:{schema.name}"


def test_writing_makes_the_folder(tmp_path: Path) -> None:
    write_schemas(tmp_path / "new")
    made = {path.name for path in (tmp_path / "new").iterdir()}
    assert made == {f"{schema.name}.schema.json" for schema in SCHEMAS} | {ASYNCAPI}


SAMPLE = {"source": "s", "label": 1, "features": {"a": 1.5, "b": None}}


@pytest.mark.parametrize("extra", [{}, {"tensor": None}, {"id": None, "event_time": None}, {"id": "é" * 256}])
def test_sample_schema_accepts(extra: dict[str, object]) -> None:
    load("sample").validate(SAMPLE | extra)


@pytest.mark.parametrize(
    "extra",
    [
        {"features": None},
        {"tensor": {"dtype": "uint8", "shape": [1], "data": "AA=="}},
        {"label": None},
        {"source": ""},
        {"id": "x" * 257},
        {"more": 1},
    ],
)
def test_sample_schema_refuses(extra: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        load("sample").validate(SAMPLE | extra)


@pytest.mark.parametrize("reason", [*RejectReason, *HoldReason])
def test_verdict_schema_accepts_every_reason_and_no_other(reason: RejectReason | HoldReason) -> None:
    verdict = Verdict(status=Status.QUARANTINED, reason=reason, p_value=0.001, label="é", source="s")
    document = json.loads(msgspec.json.encode(verdict))
    load("verdict").validate(document)
    with pytest.raises(ValidationError):
        load("verdict").validate(document | {"reason": "because"})
