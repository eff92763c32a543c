"""Specifications, valid lines of each form, and a reader of the wire format that shares no code with the decoder's."""

from __future__ import annotations

import base64
import json
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from guard.spec import (
    BooleanColumn,
    CategoryColumn,
    ClassLabel,
    Column,
    ImageInput,
    InputSpec,
    NumberColumn,
    NumberLabel,
    TableInput,
)

MIXED = InputSpec(
    input=TableInput(
        columns=(
            NumberColumn(name="size:cm", minimum=-100.0, maximum=100.0, gaps=True),
            NumberColumn(name="weight", minimum=0.0, maximum=1e9),
            CategoryColumn(name="größe", values=("klein", "a:b:c", 'sa"id'), gaps=True),
            BooleanColumn(name="", gaps=True),
            BooleanColumn(name="ripe"),
        )
    ),
    label=ClassLabel(values=("apple", "pear:green", "ölive")),
)
NUMERIC = InputSpec(
    input=TableInput(columns=tuple(NumberColumn(name=f"x{k}", minimum=-10, maximum=0.1) for k in range(3))),
    label=NumberLabel(minimum=-1000, maximum=1000),
)
GREY = InputSpec(input=ImageInput(height=3, width=2, channels=1), label=ClassLabel(values=(0, 1, 7)))
RGB = InputSpec(input=ImageInput(height=5, width=4, channels=3), label=ClassLabel(values=("cat", "dog")))
SPECS = {"mixed": MIXED, "numeric": NUMERIC, "grey": GREY, "rgb": RGB}


def line(**keys: Any) -> bytes:
    return json.dumps({"source": "s", **keys}, ensure_ascii=False).encode()


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def tensor(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": base64_text(array.tobytes())}


def picture(array: np.ndarray[Any, Any], encoding: str = "png", **options: Any) -> dict[str, str]:
    return {"encoding": encoding, "data": base64_text(picture_file(array, encoding, **options))}


def picture_file(array: np.ndarray[Any, Any], encoding: str, **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(array.squeeze()).save(file, encoding.upper(), **options)
    return file.getvalue()


@cache
def valid_lines(name: str) -> list[bytes]:
    """Lines that are scorable under `SPECS[name]`, of every form that it allows."""
    rng = np.random.default_rng(1)
    if name == "mixed":
        row = {"ripe": True, "weight": 3, "size:cm": None, "größe": "a:b:c"}
        return [
            line(label="apple", features=row),
            line(label="pear:green", id="a:1", event_time="2026-01-31T09:30:00+01:00", features=row | {"": False}),
            json.dumps({"label": "ölive", "source": "é:\\", "features": row | {"größe": 'sa"id'}}).encode(),
        ]
    if name == "numeric":
        x = rng.uniform(-10, 0.1, 3)
        return [
            line(label=1, features=dict(zip(("x2", "x0", "x1"), x.tolist(), strict=True))),
            line(label=-2.5e2, id="", features=x.tolist()),
            line(label=0.5, tensor=tensor(x)),
            line(label=0.5, tensor=tensor(np.array([-10, 0, 0.1], np.float32)), image=None),
        ]
    spec = SPECS[name].input
    assert isinstance(spec, ImageInput)
    x8 = rng.integers(0, 256, (spec.height, spec.width, spec.channels), np.uint8)
    label = 7 if name == "grey" else "dog"
    forms = [{"tensor": tensor(x8)}, {"image": picture(x8)}, {"image": picture(x8, "jpeg")}]
    if spec.channels == 1:
        forms.append({"tensor": tensor(x8[:, :, 0])})
    return [line(label=label, event_time="2026-01-31T09:30:00.125Z", **form) for form in forms]


def read_plainly(raw: bytes, spec: InputSpec) -> tuple[np.ndarray[Any, Any], Any, dict[str, Any]]:
    """x, label and the whole object of a valid record, by Python's own JSON; raises KeyError and the like else."""
    value = json.loads(raw.decode(), object_pairs_hook=_refuse_repeats)
    if isinstance(spec.input, ImageInput):
        return _read_image(value, spec.input), value["label"], value
    return _read_row(value, spec.input.columns), value["label"], value


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), "a key stands twice"
    return dict(pairs)


def _read_image(value: dict[str, Any], image: ImageInput) -> np.ndarray[Any, Any]:
    if value.get("tensor") is not None:
        data = np.frombuffer(base64.b64decode(value["tensor"]["data"], validate=True), np.uint8)
    else:
        file = BytesIO(base64.b64decode(value["image"]["data"], validate=True))
        data = np.asarray(Image.open(file, formats=(value["image"]["encoding"],)))
    return data.reshape(image.height, image.width, image.channels)


def _read_row(value: dict[str, Any], columns: tuple[Column, ...]) -> np.ndarray[Any, Any]:
    if value.get("tensor") is not None:
        dtype = np.dtype(value["tensor"]["dtype"]).newbyteorder("<")
        return np.frombuffer(base64.b64decode(value["tensor"]["data"], validate=True), dtype).astype(np.float64)
    features = value["features"]
    if isinstance(features, list):
        return np.array(features, np.float64)
    return np.array([_cell(features.get(column.name), column) for column in columns])


def _cell(cell: Any, column: Column) -> float:
    if cell is None:
        return float("nan")
    return float(column.values.index(cell)) if isinstance(column, CategoryColumn) else float(cell)
