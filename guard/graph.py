"""Audit of `model.onnx`: what a graph may hold before a session is built from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from guard.errors import BundleRefused
from guard.manifest import GRAPH_INPUTS, GRAPH_OUTPUTS
from guard.spec import ClassLabel, InputSpec, TableInput

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

__all__ = ["MAX_GRAPH_BYTES", "audit_graph"]

MAX_GRAPH_BYTES = 256 << 20
"""Larger graphs are refused unread: parsing takes several times their size in memory."""

_Tensor = tuple[str, list[int | None]]
_MAX_NODES = 50_000
_OPSETS = {"": range(17, 24), "ai.onnx.ml": range(3, 6)}
_PATH = re.compile(r"(?:^|[\s\"'(=,:])(?:/|[A-Za-z]:[\\/])[\w.~-]+[\\/][\w.~-]+")


def audit_graph(model: bytes, spec: InputSpec, members: int, max_bytes: int = MAX_GRAPH_BYTES) -> None:
    """Refuses a graph that reads other files, brings its own code, or does not have this bundle's inputs and outputs.

    `members`: columns of `scores`. Raises BundleRefused.
    """
    if len(model) > max_bytes:
        raise _refused(f"it has {len(model)} bytes, more than the {max_bytes} allowed; raise the limit if you made it")
    parsed = _parse(model)
    _refuse_unknown_code(parsed)
    _refuse_external_data(parsed)
    _refuse_paths(parsed)
    _refuse_other_signature(parsed.graph, spec, members)


def _parse(model: bytes) -> ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        parsed = onnx.ModelProto()
        parsed.ParseFromString(model)
    except (DecodeError, RecursionError) as error:
        raise _refused(f"it is not an ONNX graph ({error}); copy the bundle again from where it was made") from error
    return parsed


def _refuse_unknown_code(model: ModelProto) -> None:
    for opset in model.opset_import:
        supported = _OPSETS.get(opset.domain)
        if supported is None:
            raise _refused(f"operator domain {opset.domain!r} is not allowed; {_EXPORT}")
        if opset.version not in supported:
            raise _refused(
                f"opset {opset.version} of domain {opset.domain!r} is outside {supported[0]}–{supported[-1]}; {_EXPORT}"
            )
    if model.functions or model.training_info:
        raise _refused(f"local functions and training graphs are not allowed; {_EXPORT}")
    for count, node in enumerate(_nodes(model.graph), start=1):
        if node.domain not in _OPSETS:
            raise _refused(f"operator {node.domain}::{node.op_type} is not allowed; {_EXPORT}")
        if count > _MAX_NODES:
            raise _refused(f"it has more than {_MAX_NODES} nodes; train a smaller bundle")


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _refuse_external_data(model: ModelProto) -> None:
    """Looks at every tensor, wherever it hides: ONNX Runtime would open its file relative to the working directory."""
    import onnx

    for message in _messages(model):
        if isinstance(message, onnx.TensorProto) and (
            message.external_data or message.data_location == onnx.TensorProto.EXTERNAL
        ):
            raise _refused(f"tensor {message.name!r} lies in another file; {_EXPORT}")


def _messages(message: Any) -> Iterator[Any]:
    """`message` and all messages inside it."""
    pending = [message]
    while pending:
        current = pending.pop()
        yield current
        for field, value in current.ListFields():
            if field.message_type is not None:
                pending.extend([value] if hasattr(value, "ListFields") else value)


def _refuse_paths(model: ModelProto) -> None:
    """Exporters leave stack traces in doc strings and metadata: they tell where and by whom a bundle was made."""
    for message in _messages(model):
        texts = [getattr(message, "doc_string", ""), getattr(message, "value", "")]
        if any(isinstance(text, str) and _PATH.search(text) for text in texts):
            raise _refused(f"its metadata name a file path; clear metadata_props and doc_string, or {_EXPORT}")


def _refuse_other_signature(graph: GraphProto, spec: InputSpec, members: int) -> None:
    for kind, values, expected in (
        ("input", graph.input, _inputs(spec)),
        ("output", graph.output, _outputs(spec, members)),
    ):
        names = [value.name for value in values]
        if names != list(expected):
            raise _refused(f"its {kind}s are {names[:8]}, expected {list(expected)}; {_EXPORT}")
        for value in values:
            _refuse_other_tensor(kind, value, *expected[value.name])


def _inputs(spec: InputSpec) -> dict[str, _Tensor]:
    label: _Tensor = ("INT64" if isinstance(spec.label, ClassLabel) else "DOUBLE", [None])
    if isinstance(spec.input, TableInput):
        sample: _Tensor = ("DOUBLE", [None, len(spec.input.columns)])
    else:
        sample = ("UINT8", [None, spec.input.height, spec.input.width, spec.input.channels])
    return dict(zip(GRAPH_INPUTS, (sample, label), strict=True))


def _outputs(spec: InputSpec, members: int) -> dict[str, _Tensor]:
    label = "INT64" if isinstance(spec.label, ClassLabel) else "DOUBLE"
    kinds: tuple[_Tensor, ...] = (("FLOAT", [None, members]), (label, [None]), ("FLOAT", [None, None]))
    return dict(zip(GRAPH_OUTPUTS, kinds, strict=True))


def _refuse_other_tensor(kind: str, value: ValueInfoProto, dtype: str, shape: list[int | None]) -> None:
    """The batch must be free; an output's other lengths may be left open, and are then checked on golden vectors."""
    import onnx

    tensor = value.type.tensor_type
    name = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in _element_types() else "?"
    lengths = [length.dim_value if length.HasField("dim_value") else None for length in tensor.shape.dim]
    fits = len(lengths) == len(shape) and lengths[0] is None and all(map(_compatible, lengths, shape))
    if name != dtype or not fits or (kind == "input" and lengths != shape):
        raise _refused(f"{kind} {value.name!r} is {name} {lengths}, expected {dtype} {shape}; {_EXPORT}")


def _element_types() -> list[int]:
    import onnx

    return list(onnx.TensorProto.DataType.values())


def _compatible(found: int | None, expected: int | None) -> bool:
    return found is None or expected is None or found == expected


_EXPORT = "train the bundle again with this version"


def _refused(what: str) -> BundleRefused:
    return BundleRefused(f"model.onnx: {what}")
