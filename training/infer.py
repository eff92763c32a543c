"""InputSpec from raw columns: what the trusted rows show is what will be legal."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from guard.errors import SnapshotRefused
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
    Task,
)
from training.ingest.raw import RawColumn, RawImages, RawInput

__all__ = ["Encoded", "bounds", "choose_task", "encode"]

_REACH = 10
"""Legal numbers reach ten spans beyond what was seen: bounds stop the absurd, the members judge the unusual."""

_FEW_CLASSES = 20
_LARGEST = sys.float_info.max
_MAX_CLASS = 2.0**53


@dataclass(frozen=True)
class Encoded:
    """Rows as `guard.spec` encodes them, and the specification that they show."""

    spec: InputSpec
    x: NDArray[np.float64] | NDArray[np.uint8]
    y: NDArray[np.int64] | NDArray[np.float64]


def encode(rows: RawInput, task: Task) -> Encoded:
    """Encodes rows without gaps or infinities in the label and without infinities in the columns.

    Categories and classes are those that occur, sorted; `gaps` is true where the rows have gaps. Raises
    SnapshotRefused when the label cannot be of `task`.
    """
    label, y = _class_label(rows.label) if task == "classification" else _number_label(rows.label)
    if isinstance(rows, RawImages):
        _, height, width, channels = rows.x.shape
        image = ImageInput(height=height, width=width, channels=1 if channels == 1 else 3)
        return Encoded(InputSpec(input=image, label=label), rows.x, y)
    columns = [_named(column) for column in rows.columns]
    table = TableInput(columns=tuple(column for column, _ in columns))
    return Encoded(InputSpec(input=table, label=label), np.column_stack([codes for _, codes in columns]), y)


def bounds(values: NDArray[np.float64]) -> tuple[float, float]:
    """[min − 10 span, max + 10 span] of finite values, NaN left aside; span = max − min, or max(1, |v|) if constant."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    span = high - low or max(1.0, abs(low))
    return max(low - _REACH * span, -_LARGEST), min(high + _REACH * span, _LARGEST)


def choose_task(label: RawColumn) -> tuple[Task, str]:
    """The task that a label suggests, and why in one sentence that says how to choose the other.

    Text: classification. Whole numbers with at most max(20, √n) distinct values: classification. Else regression.
    """
    if label.kind != "number":
        return "classification", f"label {label.name!r} is text: classification"
    distinct = len(np.unique(label.codes))
    few = max(_FEW_CLASSES, math.isqrt(len(label.codes)))
    if not _whole(label.codes).all():
        return "regression", f"label {label.name!r} holds fractions: regression; for classes write them as text"
    if distinct <= few:
        why = f"label {label.name!r} holds {distinct} distinct whole numbers (at most {few}): classification"
        return "classification", f"{why}; for numbers use --task regression"
    why = f"label {label.name!r} holds {distinct} distinct whole numbers (more than {few}): regression"
    return "regression", f"{why}; for classes use --task classification"


def _whole(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (values == np.floor(values)) & (np.abs(values) < _MAX_CLASS)
    return whole


def _class_label(label: RawColumn) -> tuple[ClassLabel, NDArray[np.int64]]:
    if label.kind == "number" and not _whole(label.codes).all():
        odd = label.codes[np.argmin(_whole(label.codes))]
        raise SnapshotRefused(
            f"label {label.name!r} holds {odd:g}: a class is text or a whole number; use --task regression"
        )
    codes, y = np.unique(label.codes, return_inverse=True)
    if len(codes) < 2:
        raise SnapshotRefused(f"label {label.name!r} holds {len(codes)} usable classes; at least 2 are needed")
    whole = codes.astype(np.int64).tolist()
    values = tuple(whole) if label.kind == "number" else tuple(label.values[code] for code in whole)
    return ClassLabel(values=values), y.astype(np.int64)


def _number_label(label: RawColumn) -> tuple[NumberLabel, NDArray[np.float64]]:
    if label.kind != "number":
        raise SnapshotRefused(f"label {label.name!r} is text such as {label.values[0]!r}; use --task classification")
    if len(np.unique(label.codes)) < 2:
        raise SnapshotRefused(f"label {label.name!r} is the same in every row; there is nothing to learn")
    low, high = bounds(label.codes)
    return NumberLabel(minimum=low, maximum=high), label.codes


def _named(column: RawColumn) -> tuple[Column, NDArray[np.float64]]:
    try:
        return _encode_column(column)
    except ValidationError as wrong:
        raise SnapshotRefused(
            f"column {column.name!r} cannot be part of a sample ({wrong.errors()[0]['msg']}); "
            "rename it without quotes, backslashes and control characters"
        ) from wrong


def _encode_column(column: RawColumn) -> tuple[Column, NDArray[np.float64]]:
    gap = np.isnan(column.codes)
    gaps = bool(gap.any())
    if column.kind == "boolean":
        return BooleanColumn(name=column.name, gaps=gaps), column.codes
    if column.kind == "number":
        low, high = bounds(column.codes)
        return NumberColumn(name=column.name, minimum=low, maximum=high, gaps=gaps), column.codes
    used = np.unique(column.codes[~gap])
    values = tuple(column.values[int(code)] for code in used)
    codes = np.where(gap, np.nan, np.searchsorted(used, column.codes))
    return CategoryColumn(name=column.name, values=values, gaps=gaps), codes
