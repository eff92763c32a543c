"""The typed record of one InputSpec: msgspec types under which only what the specification allows can be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from types import NoneType
from typing import Annotated, Any, Literal

import msgspec

from guard.sample import IDENTIFIER_LENGTH
from guard.spec import BooleanColumn, CategoryColumn, ClassLabel, Column, InputSpec, NumberColumn, TableInput

__all__ = ["ABSENT", "Head", "record_type"]

ABSENT = float("-inf")
"""What a column that may have gaps holds when the sample leaves it out. No JSON number decodes to it."""

_Source = Annotated[str, msgspec.Meta(min_length=1, max_length=IDENTIFIER_LENGTH)]
_Id = Annotated[str, msgspec.Meta(max_length=IDENTIFIER_LENGTH)]


class Head(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What every sample says beside its input."""

    source: _Source
    label: str | int | float
    id: _Id | None = None
    event_time: str | None = None


class _Category(float, Enum):
    """Text that decodes straight to its index: a float, so that a row of a table packs without any lookup."""

    def __new__(cls, index: float, text: str) -> _Category:
        member = float.__new__(cls, index)
        member._value_ = text
        return member

    def __repr__(self) -> str:
        return repr(self._value_)


def record_type(spec: InputSpec) -> type[Head]:
    """A struct with the fields of `Head` and `features`, `tensor`, `image` as `spec` allows them.

    A table's `features` decode to a struct whose fields stand in the order of the columns, categories as their index;
    or to a list of numbers. What is not legal under `spec` has the type of null.
    """
    payloads = _table(spec.input) if isinstance(spec.input, TableInput) else _image()
    fields = [("label", _label(spec)), *((name, kind | None, None) for name, kind in payloads.items())]
    record: type[Head] = _struct("Record", fields, bases=(Head,))
    return record


def _label(spec: InputSpec) -> Any:
    if not isinstance(spec.label, ClassLabel):
        return float
    return str if isinstance(spec.label.values[0], str) else int


def _image() -> dict[str, Any]:
    file = _struct("Image", [("encoding", Literal["png", "jpeg"]), ("data", bytes)])
    return {"features": NoneType, "tensor": _tensor("uint8"), "image": file}


def _table(table: TableInput) -> dict[str, Any]:
    columns = table.columns
    row = _row(columns)
    if not all(isinstance(column, NumberColumn) for column in columns):
        return {"features": row, "tensor": NoneType, "image": NoneType}
    array = Annotated[list[float], msgspec.Meta(min_length=len(columns), max_length=len(columns))]
    return {"features": row | array, "tensor": _tensor("float32", "float64"), "image": NoneType}


def _row(columns: Sequence[Column]) -> Any:
    fields = [(f"c{index}", _cell(column), *_default(column)) for index, column in enumerate(columns)]
    # Column names are any text; fields c0, c1, … carry them without being Python identifiers.
    return _struct("Row", fields, rename={f"c{index}": column.name for index, column in enumerate(columns)})


def _cell(column: Column) -> Any:
    if isinstance(column, CategoryColumn):
        values = {f"v{index}": (float(index), text) for index, text in enumerate(column.values)}
        make: Any = _Category
        kind: Any = make("Category", values)
    else:
        kind = bool if isinstance(column, BooleanColumn) else float
    return kind | None if column.gaps else kind


def _default(column: Column) -> tuple[float, ...]:
    return (ABSENT,) if column.gaps else ()


def _tensor(*dtypes: str) -> Any:
    return _struct("Tensor", [("dtype", Literal[dtypes]), ("shape", list[int]), ("data", bytes)])


def _struct(name: str, fields: list[Any], **options: Any) -> Any:
    return msgspec.defstruct(name, fields, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True, **options)
