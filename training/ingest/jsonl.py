"""Reads JSON lines in the wire format (`guard.sample`), before any specification says what is legal."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from guard.diagnose import repeats_a_key
from guard.errors import SnapshotRefused
from guard.images import decode_image
from guard.rejection import Fault
from guard.sample import ImagePayload, Sample, TensorPayload, decode_base64
from guard.spec import ImageInput
from training.findings import LISTED_ROWS, Finding
from training.ingest.columns import check_names, fixed_label, without
from training.ingest.raw import RawColumn, RawImages, RawInput, RawTable, boolean_column, number_column, text_column

__all__ = ["read_jsonl"]

_NAMED = "named columns"


@dataclass(frozen=True)
class _Line:
    """A good line: its number, its label, what form its input has, and the input."""

    number: int
    label: str | int | float
    form: str
    value: Any


def read_jsonl(raw: bytes, title: str, label: str | None = None, drop: Sequence[str] = ()) -> RawInput:
    """The samples in `raw`; `title` names the file in messages. The row number is the line number.

    Lines that are no sample are left out and reported, as are samples of another form (named columns, an array of
    numbers, an image of some size) than the first one. Columns that a sample leaves out are gaps. Raises
    SnapshotRefused when no line is a sample, or when a column mixes text, numbers and booleans.
    """
    fixed_label(title, label, "label")
    lines, faults = _lines(raw)
    if not lines:
        reason = f": line {min(faults)}: {faults[min(faults)]}" if faults else ""
        raise SnapshotRefused(f"{title} holds no sample in the wire format{reason}")
    return _rows(lines, title, drop, _bad_lines(faults))


def _lines(raw: bytes) -> tuple[list[_Line], dict[int, str]]:
    good: list[_Line] = []
    faults: dict[int, str] = {}
    for number, text in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not text.strip():
            continue
        try:
            line = _line(number, text.strip())
        except (Fault, ValueError, OverflowError) as fault:
            faults[number] = _reason(fault)
            continue
        if good and line.form != good[0].form:
            faults[number] = f"holds {line.form}, the first sample holds {good[0].form}"
        else:
            good.append(line)
    return good, faults


def _reason(fault: Exception) -> str:
    if not isinstance(fault, ValidationError):
        return str(fault)
    first = fault.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the record'}: {first['msg']}"


def _line(number: int, text: bytes) -> _Line:
    sample = Sample.model_validate_json(text)
    if repeats_a_key(text):
        raise ValueError("a key stands twice in one object")
    if not isinstance(sample.label, str):
        math.isfinite(sample.label)  # raises OverflowError for an integer that no float can hold
    form, value = _payload(sample)
    return _Line(number, sample.label, form, value)


def _payload(sample: Sample) -> tuple[str, Any]:
    if sample.image is not None:
        return _image(sample.image)
    if sample.tensor is not None:
        return _tensor(sample.tensor)
    if isinstance(sample.features, dict):
        return _NAMED, sample.features
    numbers = np.array(sample.features, np.float64)
    return f"an array of {len(numbers)} numbers", numbers


def _tensor(tensor: TensorPayload) -> tuple[str, NDArray[Any]]:
    data = decode_base64(tensor.data)
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    if math.prod(tensor.shape) * dtype.itemsize != len(data):
        raise ValueError(f"tensor: shape {list(tensor.shape)} of {tensor.dtype} does not take {len(data)} bytes")
    array = np.frombuffer(data, dtype).reshape(tensor.shape)
    if array.ndim == 1 and dtype.kind == "f":
        return f"an array of {len(array)} numbers", array.astype(np.float64)
    image = array[..., np.newaxis] if array.ndim == 2 else array
    if dtype != np.uint8 or image.ndim != 3 or not array.size:
        raise ValueError(
            f"tensor: {tensor.dtype} of shape {list(tensor.shape)} is neither a row of floats nor an image"
        )
    return _image_form(image.shape), image


def _image(payload: ImagePayload) -> tuple[str, NDArray[np.uint8]]:
    data = decode_base64(payload.data)
    size = _image_input(data)
    shape = (size.height, size.width, size.channels)
    return _image_form(shape), np.frombuffer(decode_image(payload.encoding, data, size), np.uint8).reshape(shape)


def _image_input(data: bytes) -> ImageInput:
    """What the header of an image file says; no pixel is decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
                return ImageInput(height=image.height, width=image.width, channels=1 if image.mode == "L" else 3)
        except Exception as broken:  # Pillow raises whatever type the hostile bytes provoke
            raise ValueError(f"image.data cannot be decoded ({type(broken).__name__})") from broken


def _image_form(shape: tuple[int, ...]) -> str:
    return f"an image of {shape[0]} × {shape[1]} pixels in {shape[2]} channels"


def _bad_lines(faults: dict[int, str]) -> tuple[Finding, ...]:
    """A finding for each of the first bad lines, and one that counts the rest."""
    numbers = sorted(faults)
    each = [
        Finding("warning", "malformed_row", f"line {number} left out: {faults[number]}", rows=(number,), count=1)
        for number in numbers[:LISTED_ROWS]
    ]
    rest = len(numbers) - len(each)
    more = Finding("warning", "malformed_row", f"{rest:,} more lines left out that are no such sample", count=rest)
    return (*each, more) if rest else tuple(each)


def _rows(lines: list[_Line], title: str, drop: Sequence[str], findings: tuple[Finding, ...]) -> RawInput:
    numbers = [line.number for line in lines]
    origin = np.array(numbers, np.int64)
    label = _column("label", [line.label for line in lines], numbers)
    if lines[0].form == _NAMED:
        columns = _named_columns([line.value for line in lines], numbers, title, drop)
        return RawTable(columns, label, origin, findings)
    x = np.stack([line.value for line in lines])
    if x.ndim == 4:
        without((), title, drop)
        return RawImages(x, label, origin, findings)
    plain = [number_column(f"x{index}", values) for index, values in enumerate(x.T)]
    return RawTable(without(plain, title, drop), label, origin, findings)


def _named_columns(
    rows: list[dict[str, Any]], numbers: list[int], title: str, drop: Sequence[str]
) -> tuple[RawColumn, ...]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    check_names([*names, ""], title, "", drop)
    return tuple(_column(name, [row.get(name) for row in rows], numbers) for name in names if name not in drop)


def _column(name: str, values: list[Any], numbers: list[int]) -> RawColumn:
    """A column of JSON values, None is a gap; `numbers` are their lines."""
    lines = {
        _kind(value): number for value, number in zip(values[::-1], numbers[::-1], strict=True) if value is not None
    }
    if len(lines) > 1:
        where = ", ".join(f"{kind} in line {line}" for kind, line in lines.items())
        raise SnapshotRefused(f"column {name!r} mixes {where}; write all its values alike")
    if "text" in lines:
        return text_column(name, values)
    if "booleans" in lines:
        return boolean_column(name, values)
    return number_column(name, np.array([np.nan if value is None else value for value in values], np.float64))


def _kind(value: str | float | bool) -> str:  # noqa: FBT001 – a JSON value
    if isinstance(value, str):
        return "text"
    return "booleans" if isinstance(value, bool) else "numbers"
