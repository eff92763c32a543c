"""The graph as torch module and as ONNX: the same answers, the same bytes, no way out of bounds."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from guard.errors import TrainingFailed
from guard.graph import audit_graph
from guard.manifest import GRAPH_OUTPUTS
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
from training.export import check_parity, export_graph, score_with_torch
from training.graph import FEATURE_SIDE, ClassLabels, GuardGraph, features_of
from training.preprocess import LabelScale, Preprocess

ROOT = Path(__file__).parents[2]


class CentroidDistance(nn.Module):
    """Squared distance to the centroid of the claimed class."""

    centroid: Tensor

    def __init__(self, centroid: Tensor) -> None:
        super().__init__()
        self.register_buffer("centroid", centroid)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (z.flatten(1) - self.centroid[y]).square().mean(1)


class Nearness(nn.Module):
    """Class scores: how near each centroid is."""

    centroid: Tensor

    def __init__(self, centroid: Tensor) -> None:
        super().__init__()
        self.register_buffer("centroid", centroid)

    def forward(self, z: Tensor) -> Tensor:
        return -(z.flatten(1)[:, None] - self.centroid).square().sum(2)


class Residual(nn.Module):
    """|y − f(z)| of a linear f."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return (y - self.linear(z).squeeze(1)).abs()


def _table(rng: np.random.Generator) -> tuple[InputSpec, np.ndarray, np.ndarray]:
    columns = (
        NumberColumn(name="a", minimum=-9, maximum=9, gaps=True),
        CategoryColumn(name="c", values=("p", "q", "r"), gaps=True),
        BooleanColumn(name="b"),
    )
    x = np.column_stack([rng.normal(size=60), rng.integers(0, 3, 60), rng.integers(0, 2, 60)]).astype(np.float64)
    x[:5, 0], x[3:8, 1] = np.nan, np.nan
    return InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=("u", "v"))), x, rng.integers(0, 2, 60)


def _classifier(spec: InputSpec, x: np.ndarray, y: np.ndarray) -> GuardGraph:
    preprocess = Preprocess.fit(spec, x, np.arange(len(x)))
    z = preprocess(torch.from_numpy(x)).flatten(1)
    centroid = torch.stack([z[torch.from_numpy(y) == label].mean(0) for label in range(y.max() + 1)])
    scorers = [CentroidDistance(centroid), CentroidDistance(centroid.flip(0))]
    return GuardGraph(preprocess, ClassLabels(len(centroid)), scorers, Nearness(centroid))


def _images(rng: np.random.Generator) -> tuple[InputSpec, np.ndarray, np.ndarray]:
    spec = InputSpec(input=ImageInput(height=30, width=17, channels=3), label=ClassLabel(values=(4, 5, 6)))
    return spec, rng.integers(0, 256, (30, 30, 17, 3), dtype=np.uint8), np.arange(30) % 3


def _regression(rng: np.random.Generator) -> tuple[InputSpec, np.ndarray, np.ndarray, GuardGraph]:
    columns = tuple(NumberColumn(name=n, minimum=-9e9, maximum=9e9) for n in "abc")
    spec = InputSpec(input=TableInput(columns=columns), label=NumberLabel(minimum=0, maximum=1e6))
    x, y = rng.normal(1e6, 1e3, (50, 3)), rng.uniform(1e5, 4e5, 50)
    linear = nn.Linear(3, 1)
    suggest = nn.Sequential(linear, nn.Flatten(0))
    return spec, x, y, GuardGraph(Preprocess.fit(spec, x, np.arange(50)), LabelScale(y), [Residual(linear)], suggest)


@pytest.mark.parametrize("make", [_table, _images], ids=["table", "images"])
def test_the_exported_classifier_is_legal_and_says_what_torch_says(make) -> None:
    spec, x, y = make(np.random.default_rng(3))
    graph = _classifier(spec, x, y)
    model = export_graph(graph, x, y)
    audit_graph(model, spec, members=2)
    check_parity(model, graph, x, y, np.ones(2))


def test_the_exported_regression_suggests_in_the_unit_of_the_snapshot() -> None:
    spec, x, y, graph = _regression(np.random.default_rng(4))
    model = export_graph(graph, x, y)
    audit_graph(model, spec, members=1)
    check_parity(model, graph, x, y, np.ones(1))
    scores, suggestion, _ = Runtime(model).run(GRAPH_OUTPUTS, x, y)
    np.testing.assert_allclose(scores[:, 0], np.abs(y - suggestion) / y.std(), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(suggestion.mean(), y.mean(), atol=y.std())


def test_parity_names_the_score_that_differs() -> None:
    spec, x, y = _table(np.random.default_rng(5))
    graph = _classifier(spec, x, y)
    model = export_graph(graph, x, y)
    graph.scorers[1].centroid += 0.01
    with pytest.raises(TrainingFailed, match=r"scores at batch 1: by .* of its scale in column 1"):
        check_parity(model, graph, x, y, np.ones(2))


def test_parity_sees_a_frozen_batch() -> None:
    spec, x, y = _table(np.random.default_rng(5))
    graph = _classifier(spec, x, y)
    model = onnx.load_from_string(export_graph(graph, x, y))
    scores = next(node for node in model.graph.node if "scores" in node.output)
    scores.output[0] = "all"
    first = onnx.helper.make_node("Slice", ["all", "zero", "one"], ["scores"])
    model.graph.node.append(first)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([0]), "zero"))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    with pytest.raises(TrainingFailed, match="scores at batch 7"):
        check_parity(model.SerializeToString(), graph, x, y, np.ones(2))


def test_a_class_outside_the_specification_is_never_scored() -> None:
    spec, x, y = _table(np.random.default_rng(6))
    graph = _classifier(spec, x, y)
    model = export_graph(graph, x, y)
    y = np.array([0, -1, 1, 2, 2**62, -(2**63)])
    scores = Runtime(model).run(["scores"], x[:6], y)[0]
    np.testing.assert_array_equal(np.isnan(scores).all(axis=1), [False, True, False, True, True, True])
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(score_with_torch(graph, x[:6], y)["scores"]))


_EXPORT = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from tests.unit.test_graph import _classifier, _table
from training.export import export_graph
spec, x, y = _table(np.random.default_rng(7))
print(hashlib.sha256(export_graph(_classifier(spec, x, y), x, y)).hexdigest())
"""


def test_the_same_weights_give_the_same_bytes_from_any_directory(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(ROOT, target_is_directory=True)
    other = subprocess.run(
        [sys.executable, "-c", _EXPORT, str(elsewhere)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    spec, x, y = _table(np.random.default_rng(7))
    here = hashlib.sha256(export_graph(_classifier(spec, x, y), x, y)).hexdigest()
    assert other.stdout.strip() == here


def test_no_description_or_metadata_is_left_in_the_graph() -> None:
    spec, x, y = _table(np.random.default_rng(8))
    text = str(onnx.load_from_string(export_graph(_classifier(spec, x, y), x, y)))
    assert "metadata_props" not in text
    assert "doc_string" not in text
    assert str(ROOT) not in text


@pytest.mark.parametrize("side", [1, 8, 14, 15, 28, 29, 200])
def test_features_of_images_are_small_and_keep_the_mean(side: int) -> None:
    z = torch.full((2, 3, side, side + 1), 0.25)
    features = features_of(z)
    assert features.shape[1] <= 3 * FEATURE_SIDE**2
    torch.testing.assert_close(features, torch.full_like(features, 0.25))
