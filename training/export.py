"""Export to one ONNX graph, and the proof that it says what the network says."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as passes
import torch
from numpy.typing import NDArray
from torch import Tensor

from guard.errors import TrainingFailed
from guard.manifest import GRAPH_INPUTS, GRAPH_OUTPUTS
from guard.runtime import Runtime
from training.graph import GuardGraph

__all__ = ["OPSET", "PARITY_BATCHES", "TOLERANCE", "check_parity", "export_graph", "score_with_torch"]

OPSET = 20
PARITY_BATCHES = (1, 7, 512)
"""A single sample, an odd handful, a full batch: a frozen batch size or a broadcast along it shows in one of them."""

TOLERANCE = 1e-4
"""Largest difference between torch and ONNX Runtime, as a share of each score's scale."""

_TIES = 0.01


def export_graph(graph: GuardGraph, x: NDArray[Any], y: NDArray[Any]) -> bytes:
    """The graph as ONNX bytes: opset 20, dynamic batch, weights inside.

    `x`, `y`: at least two encoded samples; they give the shapes and leave no other trace. The same weights give the
    same bytes in any directory: stack traces and descriptions, which hold absolute paths, are removed.
    """
    graph = graph.cpu().eval()
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            (_tensor(x[:2]), _tensor(y[:2])),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=list(GRAPH_INPUTS),
            output_names=list(GRAPH_OUTPUTS),
            dynamic_shapes={name: {0: "batch"} for name in GRAPH_INPUTS},
            verbose=False,
            optimize=False,
        )
        if program is None:
            raise TrainingFailed("the exporter returned no graph; report this with the versions in `pip freeze`")
        _merge_alike(program.model)
        program.optimize()
    model = program.model_proto
    _strip(model)
    return bytes(model.SerializeToString(deterministic=True))


def score_with_torch(graph: GuardGraph, x: NDArray[Any], y: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What the network itself says of encoded samples, by the names of the graph's outputs."""
    with torch.no_grad():
        outputs = graph(_tensor(x), _tensor(y))
    return dict(zip(GRAPH_OUTPUTS, (output.numpy() for output in outputs), strict=True))


def check_parity(model: bytes, graph: GuardGraph, x: NDArray[Any], y: NDArray[Any], scale: NDArray[np.float64]) -> None:
    """Compares the exported graph with the network on batches of 1, 7 and 512 of the given samples.

    `x`, `y`: encoded samples, repeated to fill the batches; `scale`: (members,) the size of each member's scores.
    Raises TrainingFailed, naming the output, when one differs by more than TOLERANCE of its scale, or more than one
    suggested class in a hundred does (equal votes may fall either way).
    """
    runtime = Runtime(model)
    for batch in PARITY_BATCHES:
        rows = np.arange(batch) % len(x)
        wanted = score_with_torch(graph, x[rows], y[rows])
        found = runtime.run(GRAPH_OUTPUTS, x[rows], y[rows])
        for name, got in zip(GRAPH_OUTPUTS, found, strict=True):
            _compare(f"{name} at batch {batch}", wanted[name], got, scale if name == "scores" else None)


def _compare(where: str, wanted: NDArray[Any], got: NDArray[Any], scale: NDArray[np.float64] | None) -> None:
    if wanted.shape != got.shape or wanted.dtype != got.dtype:
        raise _differs(f"{where}: {got.dtype} {got.shape} instead of {wanted.dtype} {wanted.shape}")
    if wanted.dtype.kind == "i":
        share = float(np.mean(wanted != got))
        if share > _TIES:
            raise _differs(f"{where}: {share:.1%} of the classes")
        return
    size = np.maximum(np.sqrt(np.mean(wanted**2, axis=0)), 1e-3) if scale is None else scale
    drift = np.abs(wanted - got) / size
    if not np.all(drift <= TOLERANCE):
        raise _differs(f"{where}: by {np.nanmax(drift):.2g} of its scale in column {int(np.argmax(drift.max(axis=0)))}")


def _differs(what: str) -> TrainingFailed:
    return TrainingFailed(
        f"the exported graph does not say what the network says, nothing was written. {what}; "
        "report this with the command and the versions of torch, onnx and onnxruntime"
    )


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages it can do without and logs its steps: nothing that a user could act on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _merge_alike(model: ir.Model) -> None:
    """Merges what is computed twice, such as a network that both scores and suggests.

    The exporter's own optimiser does this last, after it has matched every pattern on every copy (six times as long).
    """
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.DeduplicateInitializersPass()(model)
    passes.CommonSubexpressionEliminationPass()(model)
    passes.RemoveUnusedNodesPass()(model)


def _strip(message: Any) -> None:
    """Clears descriptions and metadata in a protobuf message and in all that it holds."""
    for field, value in message.ListFields():
        if field.name in {"doc_string", "metadata_props"}:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                _strip(inner)
