"""AsyncAPI 3 document of the stream: its topics, and every header that the guard writes, made from the code.

`python -m guard.schemas` writes it as `schemas/asyncapi.yaml`; a test holds it against messages of a real guard.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guard.stream import headers
from guard.stream.settings import EvidenceSettings, TopicSettings
from guard.verdict import HoldReason, RejectReason, Status

__all__ = ["asyncapi", "to_yaml"]

_DIALECT = "application/schema+json;version=draft-2020-12"
_NUMBER = r"^[0-9.]+(e-?[0-9]+)?$"
_DIGEST = "^[0-9a-f]{64}$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$"
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$.-]*")

_Schema = dict[str, Any]


def _text(description: str, example: str, *, pattern: str | None = None, enum: Sequence[str] = ()) -> _Schema:
    closed = {"enum": [str(value) for value in enum]} if enum else {}
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **closed} | {
        "description": description,
        "examples": [example],
    }


_HEADERS: dict[str, _Schema] = {
    headers.VERDICT: _text("What the guard says of the record.", "quarantined", enum=tuple(Status)),
    headers.REASON: _text(
        "Why it was not clean: closed sets, of malformed records and of held samples.",
        "suspect",
        enum=(*RejectReason, *HoldReason),
    ),
    headers.SCORE: _text(
        "The fused p-value in (0, 1], absent where the sample was not scored.", "0.0004", pattern=_NUMBER
    ),
    headers.THRESHOLD: _text("α: the share of clean samples that may be held.", "0.01", pattern=_NUMBER),
    headers.MEMBER: _text("The member of the bundle that fired.", "mimic"),
    headers.SUGGESTED_LABEL: _text("The label that the trusted data speak for.", "7"),
    headers.MODEL: _text("The bundle that judged, as name:version.", "fruit:3", pattern="^[^:]+:[^:]+$"),
    headers.MODEL_SHA256: _text("The digest of that bundle's manifest.", "0" * 64, pattern=_DIGEST),
    headers.ORIGIN: _text(
        "Where it was read, as cluster/topic/partition/offset. Copies of one record carry the same: tell them by it.",
        "Zq3xW1/samples/0/41",
        pattern="^[^/]+/[^/]+/[0-9]+/[0-9]+$",
    ),
    headers.TIME: _text(
        "When it was judged (RFC 3339, UTC).",
        "2026-01-31T09:30:00.125Z",
        pattern=_MOMENT,
    ),
    headers.INSTANCE: _text("The guard that judged it.", "guard-0"),
    headers.VALUE_SHA256: _text("On a stub only: SHA-256 of the value that no output took.", "0" * 64, pattern=_DIGEST),
    headers.REVIEWER: _text("On a released record only: who released it.", "ana"),
    headers.DECISION: _text("On a released record only: the id of the decision.", "0" * 32, pattern="^[0-9a-f]{32}$"),
    headers.DECISION_TIME: _text(
        "On a released record only: when it was decided, by the reviewer's clock (RFC 3339, UTC).",
        "2026-01-31T09:30:00.125Z",
        pattern=_MOMENT,
    ),
}
_CONNECT: dict[str, _Schema] = {
    headers.CONNECT_TOPIC: _text("The topic that it was read from.", "samples"),
    headers.CONNECT_PARTITION: _text("Its partition.", "0", pattern="^[0-9]+$"),
    headers.CONNECT_OFFSET: _text("Its offset.", "41", pattern="^[0-9]+$"),
    headers.CONNECT_CONNECTOR: _text("The guard's consumer group.", "depois-guard"),
    headers.CONNECT_TASK: _text("The guard that judged it.", "guard-0"),
    headers.CONNECT_STAGE: _text(
        "Where it was refused.", "VALUE_CONVERTER", enum=("VALUE_CONVERTER", "TRANSFORMATION")
    ),
    headers.CONNECT_CLASS: _text("What refused it.", "guard.decode.Decoder"),
    headers.CONNECT_EXCEPTION: _text("The kind of the reason.", "guard.verdict.RejectReason"),
    headers.CONNECT_MESSAGE: _text(
        "Reason and detail. May repeat what the sender wrote, escaped and bounded: show it, never interpret it.",
        "out_of_range: 'height' is 1000",
    ),
}
_ALWAYS = (
    headers.VERDICT,
    headers.THRESHOLD,
    headers.MODEL,
    headers.MODEL_SHA256,
    headers.INSTANCE,
    headers.TIME,
    headers.ORIGIN,
)
_SCORED = (headers.SCORE, headers.REASON, headers.MEMBER, headers.SUGGESTED_LABEL)


def asyncapi(version: str) -> dict[str, Any]:
    """The document, for this version of the product."""
    names = _example_topics()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "De-Pois Guard",
            "version": version,
            "description": (
                "Labelled samples in; each of them out to exactly one of clean, quarantine and dead letter, at least "
                "once. Key, value, timestamp and the sender's headers stay byte for byte; headers that begin with "
                "guard- or __connect.errors. are the guard's alone: those of a sender are removed. Names of topics are "
                "examples: settings choose them."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "channels": {name: _channel(name, address) for name, address in names.items()},
        "operations": {name: _operation(name, action) for name, action in _ACTIONS.items()},
        "components": {
            "messages": _messages(),
            "schemas": {**_HEADERS, **_CONNECT},
        },
    }


_RELEASED = (headers.REVIEWER, headers.DECISION, headers.DECISION_TIME)

_ACTIONS = {
    "input": "receive",
    **dict.fromkeys(("clean", "quarantine", "deadLetter", "decisions", "evidence"), "send"),
}
_CHANNELS = {
    "input": "What senders write. The guard reads it and nobody else needs to.",
    "clean": "What passed; in mode observe also what would have been held, marked as quarantined.",
    "quarantine": "Suspected poison, labels that the snapshot never held, and samples that could not be scored.",
    "deadLetter": "What is no sample, tombstones, and stubs of records that no output could take.",
    "decisions": "What reviewers decided about held records, by guard-origin. Compacted: the last one of each stays.",
    "evidence": "What guards know of sources and drift. Compacted: the last state of each partition stays. Optional.",
}
_MESSAGES = {name: (name,) for name in _CHANNELS} | {"clean": ("clean", "released")}


def _example_topics() -> dict[str, str]:
    """The topics of the settings' own examples."""
    fields = {**TopicSettings.model_fields, "evidence": EvidenceSettings.model_fields["topic"]}
    example = {name: str((fields[name].examples or [name])[0]).strip('[]"') for name in fields}
    return {
        "input": example["input"],
        "clean": example["clean"],
        "quarantine": example["quarantine"],
        "deadLetter": example["dead_letter"],
        "decisions": example["decisions"],
        "evidence": example["evidence"],
    }


def _channel(name: str, address: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": _CHANNELS[name],
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in _MESSAGES[name]},
        "bindings": {"kafka": {"topic": address}},
    }


def _operation(name: str, action: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{name}"}, "summary": _CHANNELS[name]}


def _messages() -> dict[str, Any]:
    sample = {"schemaFormat": _DIALECT, "schema": {"$ref": "./sample.schema.json"}}
    statuses = {"clean": (Status.CLEAN, Status.QUARANTINED), "quarantine": (Status.QUARANTINED,)}
    return {
        "input": {"title": "A labelled sample", "contentType": "application/json", "payload": sample},
        "clean": {
            "title": "A sample that passed",
            "contentType": "application/json",
            "headers": _header_schema(_ALWAYS, _SCORED, statuses["clean"]),
            "payload": sample,
        },
        "released": {
            "title": "A sample that a reviewer released",
            "contentType": "application/json",
            "headers": _header_schema((*_ALWAYS, headers.REASON, *_RELEASED), _SCORED, (Status.RELEASED,)),
            "payload": sample,
        },
        "quarantine": {
            "title": "A sample that is held",
            "contentType": "application/json",
            "headers": _header_schema((*_ALWAYS, headers.REASON, *_CONNECT), _SCORED, statuses["quarantine"]),
            "payload": sample,
        },
        "deadLetter": {
            "title": "A record that is no sample",
            "contentType": "application/octet-stream",
            "headers": _header_schema(
                (*_ALWAYS, headers.REASON, *_CONNECT), (headers.VALUE_SHA256,), (Status.MALFORMED,)
            ),
            "payload": {"description": "The bytes as they came: anything. Empty for a tombstone and for a stub."},
        },
        "decisions": {
            "title": "A reviewer's decision",
            "contentType": "application/json",
            "payload": {"schemaFormat": _DIALECT, "schema": {"$ref": "./decision.schema.json"}},
            "bindings": {"kafka": {"key": {"type": "string", "description": "The guard-origin of the held record."}}},
        },
        "evidence": {
            "title": "What was counted of one input partition: of each source, and of all together",
            "contentType": "application/json",
            "payload": {"schemaFormat": _DIALECT, "schema": {"$ref": "./evidence.schema.json"}},
            "bindings": {"kafka": {"key": {"type": "string", "description": "cluster/topic/partition of the input."}}},
        },
    }


def _header_schema(required: Sequence[str], optional: Sequence[str], statuses: Sequence[Status]) -> _Schema:
    """Headers as text. The sender's own stand beside them; none of those has a name of the guard's."""
    names = list(dict.fromkeys((*required, *optional)))
    properties: _Schema = {name: {"$ref": f"#/components/schemas/{name}"} for name in names}
    properties[headers.VERDICT] = {**_HEADERS[headers.VERDICT], "enum": [str(status) for status in statuses]}
    reserved = f"^(guard-|{re.escape(headers.CONNECT)})"
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "propertyNames": {"anyOf": [{"enum": names}, {"not": {"pattern": reserved}}]},
    }


def to_yaml(value: Mapping[str, Any], depth: int = 0) -> str:
    """A document of mappings, lists and scalars as YAML, in the order in which it was made."""
    return "".join(_lines(value, depth))


def _lines(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    margin = "  " * depth
    for key, inner in value.items():
        name = key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
        if isinstance(inner, dict) and inner:
            yield f"{margin}{name}:\n"
            yield from _lines(inner, depth + 1)
        else:
            yield f"{margin}{name}: {json.dumps(inner, ensure_ascii=False)}\n"  # JSON is YAML
