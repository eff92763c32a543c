"""InputSpec: what one bundle accepts as a sample. Inferred from the trusted snapshot, kept in the manifest."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "BooleanColumn",
    "CategoryColumn",
    "ClassLabel",
    "Column",
    "ImageInput",
    "InputSpec",
    "NumberColumn",
    "NumberLabel",
    "TableInput",
    "Task",
]

Task = Literal["classification", "regression"]
"""What the label is: one of a closed set of classes, or a finite number."""


def _distinct(values: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    if len(set(values)) != len(values):
        raise ValueError("a value stands twice")
    return values


_Name = Annotated[str, Field(pattern=r"^[^\"\\\x00-\x1f]*$")]
"""A column name. Quotes, backslashes and control characters would need escapes in JSON keys; the decoder has none."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Range(_Frozen):
    minimum: float
    maximum: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("minimum lies above maximum")
        return self


class NumberColumn(_Range):
    """A numeric column. Legal values lie in [minimum, maximum]; `gaps` says whether null or absence is legal."""

    kind: Literal["number"] = "number"
    name: _Name
    gaps: bool = False


class CategoryColumn(_Frozen):
    """A text column with a closed set of values; encoded as the index into `values`."""

    kind: Literal["category"] = "category"
    name: _Name
    values: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_distinct)]
    gaps: bool = False


class BooleanColumn(_Frozen):
    """A column of true and false; encoded as 1 and 0."""

    kind: Literal["boolean"] = "boolean"
    name: _Name
    gaps: bool = False


Column = Annotated[NumberColumn | CategoryColumn | BooleanColumn, Field(discriminator="kind")]
"""One named column of a table."""


class TableInput(_Frozen):
    """Rows of named columns. Encoded as float64 (n, columns) in this order; NaN is a gap."""

    kind: Literal["table"] = "table"
    columns: tuple[Column, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct_names(self) -> Self:
        _distinct(tuple(column.name for column in self.columns))
        return self


class ImageInput(_Frozen):
    """Images of one fixed size. Encoded as uint8 (n, height, width, channels)."""

    kind: Literal["image"] = "image"
    height: int = Field(ge=1, le=4096)
    width: int = Field(ge=1, le=4096)
    channels: Literal[1, 3]


class ClassLabel(_Frozen):
    """A closed set of class labels, all text or all integers; encoded as int64 index into `values`."""

    kind: Literal["classes"] = "classes"
    values: Annotated[tuple[str, ...] | tuple[int, ...], Field(min_length=2), AfterValidator(_distinct)]


class NumberLabel(_Range):
    """A finite number in [minimum, maximum]; encoded as float64."""

    kind: Literal["number"] = "number"


class InputSpec(_Frozen):
    """The whole contract of one bundle: its input and its label."""

    input: Annotated[TableInput | ImageInput, Field(discriminator="kind")]
    label: Annotated[ClassLabel | NumberLabel, Field(discriminator="kind")]

    @property
    def task(self) -> Task:
        """`classification` for a closed set of classes, `regression` for a number."""
        return "classification" if isinstance(self.label, ClassLabel) else "regression"

    @property
    def samples(self) -> str:
        """What samples are, in words, without their legal ranges and labels, which a new bundle may widen."""
        if isinstance(self.input, ImageInput):
            what = f"images of {self.input.height} × {self.input.width} × {self.input.channels}"
        else:
            what = "rows of " + ", ".join(f"{column.name} ({column.kind})" for column in self.input.columns)
        return f"{what} for {self.task}"
