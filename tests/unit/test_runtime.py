from __future__ import annotations

import sys
import time
from importlib import metadata

import numpy as np
import onnxruntime
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from guard.errors import BundleRefused, MissingRuntime
from guard.runtime import Runtime
from tests.support.bundles import TABLE, centroids, draw_samples, make_graph

CPU, GPU = "pip install 'depois-guard[cpu]'", "pip install 'depois-guard[gpu]'"


@pytest.fixture
def model() -> bytes:
    return make_graph(TABLE).SerializeToString()


def test_scores_are_those_of_the_graph(model: bytes) -> None:
    x, y = draw_samples(TABLE, 20, seed=1)
    squared, features = Runtime(model, threads=1).run(["scores", "features"], x, y)
    assert features == pytest.approx(np.nan_to_num(x).astype(np.float32))
    assert squared[:, 0] == pytest.approx(((np.nan_to_num(x) - centroids(TABLE)[y]) ** 2).sum(axis=1), rel=1e-4)


def test_without_onnxruntime_the_error_names_both_commands(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingRuntime) as missing:
        Runtime(model)
    assert CPU in str(missing.value)
    assert GPU in str(missing.value)


def test_both_onnxruntimes_at_once_are_named(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip accepts both in silence; the second overwrites the files of the first."""
    own = metadata.distribution("onnxruntime")
    monkeypatch.setattr("guard.runtime.distribution", lambda _name: own)
    with pytest.raises(MissingRuntime, match="pip uninstall -y onnxruntime onnxruntime-gpu") as missing:
        Runtime(model)
    assert CPU in str(missing.value)
    assert GPU in str(missing.value)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this machine has a GPU")
def test_cuda_where_there_is_none_is_refused_not_replaced(model: bytes) -> None:
    with pytest.raises(MissingRuntime, match="cannot run on 'cuda' here") as missing:
        Runtime(model, device="cuda")
    assert GPU in str(missing.value)


def test_a_silent_fall_back_of_onnxruntime_is_refused(model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the CUDA libraries do not load, ONNX Runtime offers CUDA and then builds a session for the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(MissingRuntime, match="cannot run on 'cuda' here"), pytest.warns(UserWarning, match="CUDA"):
        Runtime(model, device="cuda")


def test_a_graph_that_cannot_be_built_is_refused_without_noise(capfd: pytest.CaptureFixture[str]) -> None:
    model = make_graph(TABLE)
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(BundleRefused, match="NoSuchOperator"):
        Runtime(model.SerializeToString(), threads=1)
    assert capfd.readouterr() == ("", "")


def test_the_time_within_onnxruntime_is_added_up_and_no_other(model: bytes) -> None:
    runtime = Runtime(model, threads=1)
    x, y = draw_samples(TABLE, 2000, 0)
    assert runtime.busy_seconds == 0
    runtime.run(["scores"], x, y)
    once = runtime.busy_seconds
    with pytest.raises(InvalidArgument, match="no_such_output"):
        runtime.run(["no_such_output"], x, y)
    began = time.perf_counter()
    runtime.run(["scores"], x, y)
    assert 0 < once < runtime.busy_seconds <= once + 1 + time.perf_counter() - began
