from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from guard.errors import BundleRefused
from guard.graph import audit_graph
from guard.spec import InputSpec
from tests.support.bundles import IMAGE, NUMBER, TABLE, make_graph


def external(tensor: TensorProto, path: str = "weights.bin") -> TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value=path)
    return tensor


def in_initializer(model: onnx.ModelProto) -> None:
    external(model.graph.initializer[0])


def listed_but_not_marked(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")


def in_sparse_initializer(model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(external(numpy_helper.from_array(np.ones(1, np.float32), "s")))


def in_attribute(model: onnx.ModelProto) -> None:
    value = external(numpy_helper.from_array(np.ones(1, np.float32), "c"))
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=value))


def in_subgraph(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [external(numpy_helper.from_array(np.ones(1), "deep"))])
    inner = helper.make_graph([helper.make_node("If", ["b"], ["d"], then_branch=inner)], "middle", [], [])
    model.graph.node.append(helper.make_node("If", ["b"], ["c"], then_branch=inner, else_branch=inner))


def custom_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.evil", 1))


def custom_operator_without_import(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Run", ["x"], ["z"], domain="com.evil"))


def custom_operator_in_subgraph(model: onnx.ModelProto) -> None:
    inner = helper.make_graph([helper.make_node("Run", ["x"], ["z"], domain="com.evil")], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["b"], ["c"], then_branch=inner))


def local_function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("", "f", ["a"], ["a"], [], [helper.make_opsetid("", 20)]))


def future_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 99


def ancient_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 7


def trace_in_doc_string(model: onnx.ModelProto) -> None:
    model.graph.node[0].doc_string = 'File "/home/someone/train.py", line 3, in forward'


def trace_in_metadata(model: onnx.ModelProto) -> None:
    model.graph.node[0].metadata_props.add(key="stack", value="  at C:\\Users\\someone\\train.py")


def many_nodes(model: onnx.ModelProto) -> None:
    model.graph.node.extend([helper.make_node("Identity", ["x"], ["z"])] * 50_001)


def other_input_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "image"


def other_input_order(model: onnx.ModelProto) -> None:
    first = helper.make_tensor_value_info("", 1, [])
    first.CopyFrom(model.graph.input[0])
    del model.graph.input[0]
    model.graph.input.append(first)


def third_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch"]))


def float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def unknown_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = 4711


def narrow_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3


def scalar_input(model: onnx.ModelProto) -> None:
    model.graph.input[1].type.tensor_type.shape.ClearField("dim")


def frozen_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def missing_output(model: onnx.ModelProto) -> None:
    del model.graph.output[2]


def other_members(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


def sequence_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT


EDITS = {
    in_initializer: "lies in another file",
    listed_but_not_marked: "lies in another file",
    in_sparse_initializer: "lies in another file",
    in_attribute: "lies in another file",
    in_subgraph: "lies in another file",
    custom_domain: "domain 'com.evil' is not allowed",
    custom_operator_without_import: "com.evil::Run is not allowed",
    custom_operator_in_subgraph: "com.evil::Run is not allowed",
    local_function: "local functions",
    future_opset: "opset 99",
    ancient_opset: "opset 7",
    trace_in_doc_string: "file path",
    trace_in_metadata: "file path",
    many_nodes: "more than 50000 nodes",
    other_input_name: "inputs are",
    other_input_order: "inputs are",
    third_input: "inputs are",
    float_input: "input 'x' is FLOAT",
    unknown_type: "input 'x' is ?",
    narrow_input: "input 'x' is DOUBLE",
    scalar_input: "input 'y' is INT64",
    frozen_batch: "input 'x'",
    missing_output: "outputs are",
    other_members: "output 'scores'",
    sequence_output: "output 'scores'",
}


@pytest.mark.parametrize("spec", [TABLE, NUMBER, IMAGE], ids=["table", "number", "image"])
def test_sound_graphs_pass(spec: InputSpec) -> None:
    audit_graph(make_graph(spec).SerializeToString(), spec, members=2)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_what_may_not_be_in_a_graph_is_refused(edit: Callable[[onnx.ModelProto], None]) -> None:
    model = make_graph(TABLE)
    edit(model)
    with pytest.raises(BundleRefused, match=r"^model\.onnx: .*") as refusal:
        audit_graph(model.SerializeToString(), TABLE, members=2)
    assert EDITS[edit] in str(refusal.value)
    assert "train" in str(refusal.value)


def test_a_graph_for_another_specification_is_refused() -> None:
    with pytest.raises(BundleRefused, match="input 'x' is UINT8"):
        audit_graph(make_graph(IMAGE).SerializeToString(), TABLE, members=2)


def test_a_graph_that_is_too_large_is_not_even_parsed() -> None:
    with pytest.raises(BundleRefused, match="more than the 100 allowed; raise the limit"):
        audit_graph(b"\xff" * 101, TABLE, members=2, max_bytes=100)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x0a" * 100, b"#!/bin/sh", b"\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_graph_is_refused(data: bytes) -> None:
    with pytest.raises(BundleRefused, match=r"^model\.onnx: "):
        audit_graph(data, TABLE, members=2)
