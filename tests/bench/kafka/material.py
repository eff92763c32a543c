"""What the guard is measured with: records of two kinds, a bundle for each, and its mimic alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from guard.bundle import load_bundle, parse_bundle, write_bundle
from guard.calibration import Calibration, fuse
from guard.golden import Golden
from guard.sample import encode_samples
from guard.spec import ClassLabel, InputSpec
from tests.bench.kafka.sizes import Sizes
from tests.bench.models import IMAGES, TABLE, image_samples, train
from tests.bench.scorer import Kind
from tests.support.bundles import draw_samples, make_bundle

__all__ = ["FLIPPED", "MALFORMED", "Material", "make_material", "mimic_alone"]

FLIPPED = 0.05
MALFORMED = 0.005
"""Shares of records with another label, and of records that break off: all three outputs get something to do."""

_SOURCES = 50
_TRUSTED = 2000
_MIMIC = "mimic"
_SAME_LABEL = "the_label_itself"


@dataclass(frozen=True)
class Material:
    """`values`: records, to be repeated; `bundle`: all members; `alone`: only the mimic of `bundle`."""

    kind: Kind
    what: str
    values: Sequence[bytes]
    bundle: Path
    alone: Path

    def described(self) -> dict[str, Any]:
        """For the result file."""
        members = [member.name for member in parse_bundle(self.bundle).manifest.members]
        size = sum(map(len, self.values)) / len(self.values)
        return {"data": self.what, "mean_bytes": round(size), "members": members}


def make_material(kind: Kind, folder: Path, sizes: Sizes) -> Material:
    """Records that the bundle was not trained on, and the bundle; its training takes a minute or two."""
    spec = {"rows": TABLE, "tensors": IMAGES}[kind]
    if kind == "rows":
        what, x, y = "drawn rows of 10 numbers and 2 categories", *draw_samples(spec, sizes.pool + _TRUSTED, 3)
    else:
        what, x, y = image_samples(sizes.pool + _TRUSTED)
    bundle = folder / kind
    if sizes.trained:
        train(bundle, spec, x[:_TRUSTED], y[:_TRUSTED])
    else:
        make_bundle(bundle, spec)
    alone = mimic_alone(bundle, folder / f"{kind}-mimic")
    return Material(kind, what, _records(spec, x[_TRUSTED:], y[_TRUSTED:], sizes.seed), bundle, alone)


def _records(spec: InputSpec, x: NDArray[Any], y: NDArray[Any], seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    fate = rng.random(len(y))
    assert isinstance(spec.label, ClassLabel)
    y = np.where(fate < FLIPPED, (y + 1) % len(spec.label.values), y)
    sources = [f"source {number}" for number in rng.integers(0, _SOURCES, len(y))]
    values = encode_samples(spec, x, y, sources)
    for at in np.flatnonzero(fate > 1 - MALFORMED).tolist():
        values[at] = values[at][:-10]
    return values


def mimic_alone(bundle: Path, out: Path) -> Path:
    """The bundle with no member but its mimic, which suggests no other label: the method of the paper by itself."""
    parsed = parse_bundle(bundle)
    card = parsed.manifest
    at = [member.name for member in card.members].index(_MIMIC)
    model = _pruned(parsed.stored.contents["model.onnx"], at, len(card.members))
    known = parsed.calibration
    calibration = Calibration(known.scores[:, [at]], known.labels, np.ones(1), known.boundary)
    fusion = fuse(calibration, card.alpha.value, mimic=0)
    golden = parsed.golden
    member = card.members[at].model_copy(update={"weight": 1.0})
    write_bundle(
        out,
        model=model,
        calibration=calibration,
        golden=Golden.judged(fusion, golden.x, golden.y, np.ascontiguousarray(golden.scores[:, [at]])),
        reference=parsed.reference,
        report_html="<!doctype html><title>the mimic alone</title>",
        manifest=card.model_copy(update={"members": (member,), "alpha": fusion.card, "files": {}}),
    )
    load_bundle(out)
    return out


def _pruned(model: bytes, at: int, members: int) -> bytes:
    """The graph with the score of one member, whose label is its suggestion, and nothing that it does not need."""
    graph = (found := onnx.load_from_string(model)).graph
    stacks = [node for node in graph.node if node.op_type == "Concat" and len(node.input) == members]
    stack = next(node for node in reversed(stacks) if _leads_to(graph, node, "scores"))
    score = stack.input[at]
    del stack.input[:]
    stack.input.append(score)
    suggests = next(node for node in graph.node if "suggestion" in node.output)
    suggests.output[list(suggests.output).index("suggestion")] = _SAME_LABEL
    graph.node.append(helper.make_node("Identity", ["y"], ["suggestion"]))
    for output in graph.output:
        if output.name == "scores":
            output.type.tensor_type.shape.dim[1].dim_value = 1
    del graph.value_info[:]
    _drop_unused(graph)
    pruned: bytes = found.SerializeToString()
    return pruned


def _leads_to(graph: onnx.GraphProto, node: onnx.NodeProto, output: str) -> bool:
    reached = set(node.output)
    for after in graph.node:
        if reached.intersection(after.input):
            reached.update(after.output)
    return output in reached


def _drop_unused(graph: onnx.GraphProto) -> None:
    needed = {output.name for output in graph.output}
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
    nodes = [node for node in graph.node if needed.intersection(node.output)]
    constants = [constant for constant in graph.initializer if constant.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
