"""Small real bundles for tests: nearest-centroid graphs built by hand, calibrated on random clean samples."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from guard.bundle import write_bundle
from guard.calibration import Calibration, fuse
from guard.encoding import class_indices
from guard.gate import AuditBound
from guard.golden import Golden
from guard.manifest import GRAPH_OUTPUTS, Manifest, MemberCard
from guard.reference import Reference
from guard.runtime import Runtime
from guard.spec import (
    BooleanColumn,
    CategoryColumn,
    ClassLabel,
    ImageInput,
    InputSpec,
    NumberColumn,
    NumberLabel,
    TableInput,
)

TABLE = InputSpec(
    input=TableInput(
        columns=(
            NumberColumn(name="width", minimum=-100.0, maximum=100.0, gaps=True),
            NumberColumn(name="height", minimum=-100.0, maximum=100.0),
            CategoryColumn(name="colour", values=("red", "green", "blue")),
            BooleanColumn(name="ripe"),
        )
    ),
    label=ClassLabel(values=("apple", "pear", "plum")),
)
NUMBER = InputSpec(input=TABLE.input, label=NumberLabel(minimum=-1000.0, maximum=1000.0))
DIGITS = InputSpec(input=ImageInput(height=8, width=8, channels=1), label=ClassLabel(values=tuple(range(10))))
"""The digits that scikit-learn ships: what a person can look at."""
IMAGE = InputSpec(input=ImageInput(height=4, width=5, channels=1), label=ClassLabel(values=(0, 1)))

SNAPSHOT = "0" * 64
"""The digest of the snapshot that no test bundle was really trained on."""

WEIGHTS = (1.0, 0.5)
MEMBERS = tuple(
    MemberCard(name=name, description=f"test member {name}", weight=weight, blind_to="much")
    for name, weight in zip(("distance", "mimic"), WEIGHTS, strict=True)
)


def centroids(spec: InputSpec) -> NDArray[np.float32]:
    """(classes, d) the centre of each class in the features of the graph; one row of weights for regression."""
    rng = np.random.default_rng(5)
    if spec == DIGITS:
        x, y = digits()
        return np.stack([(x[y == label] / np.float32(255)).mean(axis=0).ravel() for label in range(10)])
    if isinstance(spec.input, ImageInput):
        width = spec.input.height * spec.input.width * spec.input.channels
        return rng.uniform(0.2, 0.8, (len(spec.label.values), width)).astype(np.float32)
    rows = len(spec.label.values) if isinstance(spec.label, ClassLabel) else 1
    return rng.normal(0, 5, (rows, len(spec.input.columns))).astype(np.float32)


def draw_samples(spec: InputSpec, n: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """`n` clean encoded samples."""
    rng = np.random.default_rng(seed)
    if spec == DIGITS:
        x, y = (rows[int(seed > 1) :: 2] for rows in digits())  # what bundles are made of, and what is sent
        chosen = rng.permutation(len(x))[:n]
        return x[chosen], y[chosen]
    centre = centroids(spec)
    y = rng.integers(0, len(centre), n)
    if isinstance(spec.input, ImageInput):
        x = np.clip(centre[y] + rng.normal(0, 0.1, (n, centre.shape[1])), 0, 1) * 255
        return x.astype(np.uint8).reshape(n, spec.input.height, spec.input.width, spec.input.channels), y
    if isinstance(spec.label, ClassLabel):
        return _legal(spec.input, centre[y] + rng.normal(0, 1, (n, centre.shape[1])), rng), y
    x = _legal(spec.input, rng.normal(0, 3, (n, centre.shape[1])), rng)
    return x, (np.nan_to_num(x) @ centre[0] + rng.normal(0, 1, n)).astype(np.float64)


@cache
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """1,797 images (n, 8, 8, 1) and what they show."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * (255 / 16)).astype(np.uint8)[..., None], found.target.astype(np.int64)


def _legal(table: TableInput, x: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    for index, column in enumerate(table.columns):
        if isinstance(column, CategoryColumn):
            x[:, index] = np.clip(np.round(np.abs(x[:, index])), 0, len(column.values) - 1)
        if isinstance(column, BooleanColumn):
            x[:, index] = x[:, index] > 0
        if column.gaps:
            x[rng.uniform(size=len(x)) < 0.05, index] = np.nan
    return x


def make_graph(spec: InputSpec, *, brittle: bool = False) -> onnx.ModelProto:
    """A graph with two members. `brittle`: it raises on any batch with a sample whose first value is 100 or more."""
    double = TensorProto.DOUBLE
    if isinstance(spec.input, ImageInput):
        shape = ["batch", spec.input.height, spec.input.width, spec.input.channels]
        inputs = [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)]
    else:
        inputs = [helper.make_tensor_value_info("x", double, ["batch", len(spec.input.columns)])]
    label = TensorProto.INT64 if isinstance(spec.label, ClassLabel) else double
    inputs.append(helper.make_tensor_value_info("y", label, ["batch"]))
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("suggestion", label, ["batch"]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", centroids(spec).shape[1]]),
    ]
    nodes = [*_feature_nodes(spec), *(_class_nodes() if label == TensorProto.INT64 else _number_nodes())]
    if brittle:
        nodes += [
            helper.make_node("Gather", ["features", "first"], ["pill_f"], axis=1),
            helper.make_node("Cast", ["pill_f"], ["pill"], to=TensorProto.INT64),
            helper.make_node("Gather", ["hundred", "pill"], ["burst"]),
        ]
        nodes[nodes.index(next(n for n in nodes if "scores" in n.output))].output[0] = "calm"
        nodes.append(helper.make_node("Add", ["calm", "burst"], ["scores"]))
    graph = helper.make_graph(nodes, "test", inputs, outputs, initializer=_constants(spec))
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _feature_nodes(spec: InputSpec) -> list[onnx.NodeProto]:
    if isinstance(spec.input, ImageInput):
        return [
            helper.make_node("Cast", ["x"], ["xf"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["xf", "white"], ["unit"]),
            helper.make_node("Flatten", ["unit"], ["features"], axis=1),
        ]
    return [
        helper.make_node("Cast", ["x"], ["xf"], to=TensorProto.FLOAT),
        helper.make_node("IsNaN", ["xf"], ["gap"]),
        helper.make_node("Where", ["gap", "zero", "xf"], ["features"]),
    ]


def _class_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Gather", ["centroids", "y"], ["claimed"]),
        helper.make_node("Sub", ["features", "claimed"], ["off"]),
        *_score_nodes(),
        helper.make_node("Unsqueeze", ["features", "one"], ["wide"]),
        helper.make_node("Sub", ["wide", "centroids"], ["offs"]),
        helper.make_node("ReduceSumSquare", ["offs", "two"], ["distances"], keepdims=0),
        helper.make_node("ArgMin", ["distances"], ["suggestion"], axis=1, keepdims=0),
    ]


def _number_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("Cast", ["y"], ["yf"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["yf", "one"], ["tall"]),
        helper.make_node("MatMul", ["features", "column"], ["predicted"]),
        helper.make_node("Sub", ["tall", "predicted"], ["off"]),
        *_score_nodes(),
        helper.make_node("Cast", ["predicted"], ["predicted_d"], to=TensorProto.DOUBLE),
        helper.make_node("Squeeze", ["predicted_d", "one"], ["suggestion"]),
    ]


def _score_nodes() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceSumSquare", ["off", "one"], ["squared"], keepdims=1),
        helper.make_node("ReduceL1", ["off", "one"], ["absolute"], keepdims=1),
        helper.make_node("Concat", ["squared", "absolute"], ["scores"], axis=1),
    ]


def _constants(spec: InputSpec) -> list[TensorProto]:
    values = {
        "centroids": centroids(spec),
        "column": np.ascontiguousarray(centroids(spec)[:1].T),
        "one": np.array([1]),
        "two": np.array([2]),
        "first": np.array([0]),
        "hundred": np.zeros(100, np.float32),
        "white": np.array(255, np.float32),
        "zero": np.array(0, np.float32),
    }
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def make_bundle(
    path: Path,
    spec: InputSpec = TABLE,
    *,
    rows: int = 300,
    alpha: float = 0.01,
    brittle: bool = False,
    seed: int = 0,
    version: str = "1",
    audit: AuditBound | None = None,
) -> Path:
    """Writes a bundle for `spec`, calibrated on `rows` clean samples, to `path` and returns it."""
    model = make_graph(spec, brittle=brittle).SerializeToString()
    runtime = Runtime(model, threads=1)
    x, y = draw_samples(spec, rows, seed)
    scores, _, features = runtime.run(GRAPH_OUTPUTS, x, y)
    critic = -scores[:, 1].astype(np.float64)
    calibration = Calibration(
        scores=scores.astype(np.float64),
        labels=class_indices(y),
        weights=np.array(WEIGHTS),
        boundary=np.array([critic.mean(), critic.std(), -1.96]),
    )
    fusion = fuse(calibration, alpha, mimic=1)
    golden_x, golden_y = draw_samples(spec, 16, seed + 1)
    if isinstance(spec.label, ClassLabel):
        golden_y[:4] = (golden_y[:4] + 1) % len(spec.label.values)
    else:
        golden_y[:4] += 50
    golden_scores = runtime.run(["scores"], golden_x, golden_y)[0]
    manifest = Manifest(
        format_version=1,
        name="test",
        version=version,
        created="2026-01-01T00:00:00Z",
        spec=spec,
        members=MEMBERS,
        alpha=fusion.card,
        snapshot_digest=SNAPSHOT,
        audit=audit,
        training={"seed": seed},
        metrics={"recall": 0.5},
        libraries={"numpy": np.__version__},
        files={},
    )
    write_bundle(
        path,
        model=model,
        calibration=calibration,
        golden=Golden.judged(fusion, golden_x, golden_y, golden_scores),
        reference=Reference(x[:50], y[:50], np.arange(1, 51), features[:50]),
        report_html="<!doctype html><title>test</title>",
        manifest=manifest,
    )
    return path
