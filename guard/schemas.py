"""Schemas of everything that others read or write, made from the code: `python -m guard.schemas` writes them.

JSON Schemas of files and records, and one AsyncAPI document of the stream.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import msgspec

from guard.agreement import Agreement
from guard.asyncapi import asyncapi, to_yaml
from guard.filter.summary import Summary
from guard.filter.verdicts import VerdictLine
from guard.gate import AuditBound, Comparison, Gate
from guard.manifest import Manifest
from guard.review.decision import Decision
from guard.sample import Sample
from guard.spec import InputSpec
from guard.stream.evidence import Evidence
from guard.verdict import HoldReason, RejectReason, Verdict

__all__ = ["ASYNCAPI", "SCHEMAS", "Schema", "render", "render_asyncapi", "write_schemas"]

ASYNCAPI = "asyncapi.yaml"
"""The file of the AsyncAPI document."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Schema:
    """One file of `schemas/`: `<name>.schema.json`."""

    name: str
    title: str
    generate: Callable[[], dict[str, Any]]


def _verdict() -> dict[str, Any]:
    """The schema of `Verdict`; msgspec describes no union of two enums, but one Literal of both says the same."""
    reason: Any = Literal[*(reason.value for reason in (*RejectReason, *HoldReason))]
    types = {field.name: field.type for field in msgspec.structs.fields(Verdict)} | {"reason": reason | None}
    defaults = {field.name: () if field.required else (field.default,) for field in msgspec.structs.fields(Verdict)}
    fields = [(name, kind, *defaults[name]) for name, kind in types.items()]
    return msgspec.json.schema(msgspec.defstruct("Verdict", fields, namespace={"__doc__": inspect.getdoc(Verdict)}))


SCHEMAS = (
    Schema("sample", "Sample: one record of the wire format", Sample.model_json_schema),
    Schema("input-spec", "InputSpec: what one bundle accepts as a sample", InputSpec.model_json_schema),
    Schema("manifest", "Manifest: manifest.json of a model bundle", Manifest.model_json_schema),
    Schema("summary", "Summary: summary.json of `depois filter`", Summary.model_json_schema),
    Schema("verdict-line", "VerdictLine: one line of verdicts.jsonl", lambda: msgspec.json.schema(VerdictLine)),
    Schema("decision", "Decision: a reviewer's, about one held record", lambda: msgspec.json.schema(Decision)),
    Schema("audit-bound", "AuditBound: how much poison a snapshot can hold", AuditBound.model_json_schema),
    Schema("comparison", "Comparison: champion and challenger on the same data", Comparison.model_json_schema),
    Schema("gate", "Gate: what `depois promote` demands", Gate.model_json_schema),
    Schema("agreement", "Agreement: a guard's /shadow, two bundles on the same records", Agreement.model_json_schema),
    Schema("evidence", "Evidence: what guards keep about one partition", lambda: msgspec.json.schema(Evidence)),
    Schema("verdict", "Verdict: the judgement of one sample", _verdict),
)


def render(schema: Schema) -> str:
    """The text of one schema file; the same types give the same bytes."""
    head = {"$schema": _DIALECT, "$id": f"urn:depois-guard:schema:{schema.name}"}
    body = {**head, **schema.generate(), "title": schema.title}
    return json.dumps(body, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def render_asyncapi() -> str:
    """The text of the AsyncAPI document of the installed version."""
    return "# Written by `make schemas`.\n" + to_yaml(asyncapi(version("depois-guard")))


def write_schemas(folder: Path) -> None:
    """Write every schema into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    for schema in SCHEMAS:
        (folder / f"{schema.name}.schema.json").write_text(render(schema), encoding="utf-8")
    (folder / ASYNCAPI).write_text(render_asyncapi(), encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path("schemas"))
