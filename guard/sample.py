"""The wire format: one JSON object per sample. These models are its public schema; `guard.decode` is its hot path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from guard.rfc3339 import is_rfc3339
from guard.spec import BooleanColumn, CategoryColumn, ClassLabel, Column, ImageInput, InputSpec

__all__ = [
    "IDENTIFIER_LENGTH",
    "PAYLOADS",
    "ImagePayload",
    "Sample",
    "TensorPayload",
    "decode_base64",
    "encode_samples",
]

IDENTIFIER_LENGTH = 256
"""Characters that `id` and `source` may have. They go into headers, counters and verdicts, which must stay small."""

PAYLOADS = ("features", "tensor", "image")
"""The three ways to send the input; a sample holds exactly one of them."""


def decode_base64(text: str) -> bytes:
    """The bytes behind standard base64 (padded, no line breaks). Raises ValueError for anything else.

    By msgspec, as in the hot path: `binascii` in strict mode takes superfluous padding.
    """
    return msgspec.convert(text, bytes)


def _event_time(text: str) -> str:
    if not is_rfc3339(text):
        raise ValueError("must be RFC 3339 with a time zone")
    return text


def _base64(text: str) -> str:
    decode_base64(text)
    return text


_Identifier = Annotated[str, Field(max_length=IDENTIFIER_LENGTH)]
_Base64 = Annotated[str, AfterValidator(_base64), Field(json_schema_extra={"contentEncoding": "base64"})]
_EventTime = Annotated[str, AfterValidator(_event_time), Field(json_schema_extra={"format": "date-time"})]
_Cell = float | str | bool | None


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TensorPayload(_Wire):
    """An array as base64 of its little-endian bytes in C order: the cheapest form to decode.

    Images: `uint8` of shape [height, width, channels], or [height, width] where there is one channel. Tables whose
    columns are all numbers: `float32` or `float64` of shape [columns].
    """

    dtype: Literal["uint8", "float32", "float64"]
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    data: _Base64


class ImagePayload(_Wire):
    """An image file as base64. Size and colour mode must be those of the input specification."""

    encoding: Literal["png", "jpeg"]
    data: _Base64


def _present(name: str) -> JsonDict:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


class Sample(_Wire):
    """One labelled sample: who sent it, what they call it, and exactly one of `features`, `tensor` and `image`.

    `features` is an object of named columns in any order, or an array of numbers in the order of the columns. Optional
    keys may be left out or be null. A key that appears twice is refused by the guard; this model cannot see it.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [_present(name) for name in PAYLOADS]})

    source: Annotated[_Identifier, Field(min_length=1, description="Who contributed the sample.")]
    label: Annotated[str | int | float, Field(description="The class, or the number, that the source claims.")]
    id: Annotated[_Identifier | None, Field(description="The sender's own name for the sample.")] = None
    event_time: Annotated[_EventTime | None, Field(description="When it was observed: RFC 3339 with time zone.")] = None
    features: dict[str, _Cell] | list[float] | None = None
    tensor: TensorPayload | None = None
    image: ImagePayload | None = None

    @model_validator(mode="after")
    def _exactly_one_payload(self) -> Self:
        if sum(getattr(self, name) is not None for name in PAYLOADS) != 1:
            raise ValueError(f"exactly one of {', '.join(PAYLOADS)}")
        return self


def encode_samples(
    spec: InputSpec,
    x: NDArray[np.float64] | NDArray[np.uint8],
    y: NDArray[np.int64] | NDArray[np.float64],
    sources: Sequence[str],
    ids: Sequence[str] | None = None,
) -> list[bytes]:
    """Encoded arrays as lines of the wire format, without line ends; `Decoder` turns them into the same arrays.

    `x` and `y` are encoded as `guard.spec` says. Tables become `features` with null for gaps, images become `tensor`.
    """
    heads = [{"source": source, "label": label} for source, label in zip(sources, _labels(spec, y), strict=True)]
    if ids is not None:
        heads = [{"id": name, **head} for name, head in zip(ids, heads, strict=True)]
    payloads = _tensors(x) if isinstance(spec.input, ImageInput) else _features(spec.input.columns, x)
    encode = msgspec.json.Encoder().encode
    return [encode({**head, **payload}) for head, payload in zip(heads, payloads, strict=True)]


def _labels(spec: InputSpec, y: NDArray[Any]) -> list[Any]:
    if isinstance(spec.label, ClassLabel):
        return [spec.label.values[index] for index in y.tolist()]
    values: list[Any] = y.tolist()
    return values


def _tensors(x: NDArray[Any]) -> list[dict[str, Any]]:
    shape = x.shape[1:]
    return [{"tensor": {"dtype": "uint8", "shape": shape, "data": image.tobytes()}} for image in x]


def _features(columns: Sequence[Column], x: NDArray[Any]) -> list[dict[str, Any]]:
    names = [column.name for column in columns]
    cells = [_cells(column, values.tolist()) for column, values in zip(columns, x.T, strict=True)]
    return [{"features": dict(zip(names, row, strict=True))} for row in zip(*cells, strict=True)]


def _cells(column: Column, values: list[float]) -> list[Any]:
    if isinstance(column, CategoryColumn):
        return [None if value != value else column.values[int(value)] for value in values]
    if isinstance(column, BooleanColumn):
        return [None if value != value else value == 1.0 for value in values]
    return [None if value != value else value for value in values]
