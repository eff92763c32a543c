"""What is wrong with trusted rows: the checks, each a function from rows to findings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from guard.spec import ClassLabel
from training.audit import MIN_ROWS
from training.findings import Finding, of_rows
from training.infer import Encoded
from training.ingest.raw import RawColumn, RawInput, RawTable
from training.split import FOLDS, row_keys

__all__ = [
    "find_class_counts",
    "find_empty_columns",
    "find_identifiers",
    "find_infinities",
    "find_label_copies",
    "find_odd_columns",
    "find_twins",
    "lonely_classes",
]

_FREE_TEXT = 0.9
_MANY_CATEGORIES = 100
_MOSTLY_GAPS = 0.5
_IMBALANCE = 100
_KEY_NAME = re.compile(r"(^|[_\W])(?i:id|uuid|guid|key|index)$|[a-z](Id|ID)$")


def find_infinities(rows: RawInput) -> Iterator[Finding]:
    """Infinite numbers, in columns and in the label: refused, because nothing can be scaled to them."""
    columns = rows.columns if isinstance(rows, RawTable) else ()
    for column in (*columns, rows.label):
        infinite = np.isinf(column.codes)
        if infinite.any():
            text = f"column {column.name!r} holds infinite numbers; correct them, or leave them empty"
            yield of_rows("refusal", "infinite_value", text, rows.origin[infinite], column.name)


def find_empty_columns(table: RawTable) -> Iterator[Finding]:
    """Columns without a single value: left out, since nothing says what would be legal in them."""
    for column in table.columns:
        if np.isnan(column.codes).all():
            text = f"column {column.name!r} has no value in any row: left out"
            yield Finding("warning", "empty_column", text, column.name)


def find_identifiers(table: RawTable, keep: Collection[str]) -> Iterator[Finding]:
    """Columns that name the row instead of describing it: left out unless kept.

    Text that differs in at least nine of ten rows; whole numbers, each only once, that count without holes, rise or
    fall with the row, or are called id, key or index.
    """
    for column in table.columns:
        why = _identifies(column)
        if why and column.name not in keep:
            text = f"column {column.name!r} {why}, an identifier: left out; keep it with --keep {column.name}"
            yield Finding("warning", "identifier_column", text, column.name)


def _identifies(column: RawColumn) -> str | None:
    codes = column.codes[~np.isnan(column.codes)]
    if len(codes) < MIN_ROWS or column.kind == "boolean":
        return None
    distinct = len(np.unique(codes))
    if column.kind == "category":
        return "holds text that differs in nearly every row" if distinct >= _FREE_TEXT * len(codes) else None
    if distinct < len(codes) or (codes != np.floor(codes)).any():
        return None
    counts_on = codes.max() - codes.min() == len(codes) - 1
    is_key = counts_on or _one_way(codes) or _KEY_NAME.search(column.name)
    return "holds whole numbers, each only once" if is_key else None


def _one_way(codes: NDArray[np.float64]) -> bool:
    steps = np.sign(np.diff(codes))
    return bool(abs(steps.sum()) == len(steps))


def find_label_copies(table: RawTable, keep: Collection[str]) -> Iterator[Finding]:
    """Columns that determine the label one to one: left out unless kept.

    A model would read the answer there, and an attacker who writes both fools it. Values must repeat, or rise or fall
    strictly with the label: two columns of numbers that never repeat would determine each other by chance.
    """
    for column in table.columns:
        if column.name not in keep and _copies(column, table.label):
            text = (
                f"column {column.name!r} determines the label {table.label.name!r} one to one: left out; "
                f"keep it with --keep {column.name} if every contributor can know it before the label"
            )
            yield Finding("warning", "label_copy", text, column.name)


def _copies(column: RawColumn, label: RawColumn) -> bool:
    known = ~np.isnan(column.codes)
    if known.sum() < max(MIN_ROWS, len(known) / 2):
        return False
    values, code = np.unique(column.codes[known], return_inverse=True)
    answers, answer = np.unique(label.codes[known], return_inverse=True)
    if len(values) != len(answers) or len(values) < 2:
        return False
    pairs, first = np.unique(code * len(answers) + answer, return_index=True)
    repeats = len(values) <= known.sum() / 2
    return len(pairs) == len(values) and (repeats or _one_way(answer[first].astype(np.float64)))


def lonely_classes(rows: RawInput) -> NDArray[np.bool_]:
    """True for each row (n,) whose class has only one distinct input: out of fold, no model would see it."""
    keys = np.unique(row_keys(rows.content()), return_inverse=True)[1]
    classes, label = np.unique(rows.label.codes, return_inverse=True)
    pairs = np.unique(label * len(keys) + keys)
    inputs = np.bincount(pairs // len(keys), minlength=len(classes))
    lonely: NDArray[np.bool_] = (inputs == 1)[label]
    return lonely


def find_twins(encoded: Encoded, origin: NDArray[np.int64]) -> Iterator[Finding]:
    """Rows with identical input: the same label is a duplicate, another label a contradiction. Both stay."""
    keys = np.unique(row_keys(encoded.x), return_inverse=True)[1]
    pair = np.unique(np.column_stack([keys, np.unique(encoded.y, return_inverse=True)[1]]), axis=0, return_inverse=True)
    labels_of_key = np.bincount(pair[0][:, 0])
    first = np.unique(pair[1], return_index=True)[1]
    repeated = np.setdiff1d(np.arange(len(keys)), first)
    if len(repeated):
        text = "rows repeat an earlier row, input and label alike; they stay, and share its fold"
        yield of_rows("note", "duplicate_rows", text, origin[repeated])
    contradicting = np.flatnonzero(labels_of_key[keys] > 1)
    if len(contradicting):
        text = "rows have the same input as another row but another label; at least one of the labels deserves a look"
        yield of_rows("warning", "conflicting_labels", text, origin[contradicting])


def find_odd_columns(table: RawTable) -> Iterator[Finding]:
    """Columns that are kept and deserve a look: constant, mostly gaps, very many categories."""
    for column in table.columns:
        gaps = float(np.isnan(column.codes).mean())
        distinct = len(np.unique(column.codes[~np.isnan(column.codes)]))
        if distinct == 1 and not gaps:
            text = f"column {column.name!r} has the same value in every row; it can tell nothing apart"
            yield Finding("note", "constant_column", text, column.name)
        if gaps > _MOSTLY_GAPS:
            text = f"column {column.name!r} is {100 * gaps:.1f} % gaps; if it says little: --drop {column.name}"
            yield Finding("warning", "mostly_gaps", text, column.name)
        if column.kind == "category" and distinct > _MANY_CATEGORIES:
            text = (
                f"column {column.name!r} has {distinct} categories; unseen ones will be rejected: group the rare ones"
            )
            yield Finding("warning", "many_categories", text, column.name)


def find_class_counts(encoded: Encoded) -> Iterator[Finding]:
    """Classes that are kept but too small to be learned well, and class counts that differ a hundredfold."""
    if not isinstance(encoded.spec.label, ClassLabel):
        return
    counts = np.bincount(encoded.y.astype(np.int64))
    values = encoded.spec.label.values
    for index in np.flatnonzero(counts < FOLDS):
        text = f"class {values[index]!r} has only {counts[index]} rows; expect its samples to be held more often"
        yield Finding("warning", "class_too_small", text)
    if counts.max() >= _IMBALANCE * counts.min():
        many, few = values[int(counts.argmax())], values[int(counts.argmin())]
        text = (
            f"class {many!r} has {counts.max():,} rows, class {few!r} only {counts.min():,}: few errors of it are seen"
        )
        yield Finding("warning", "class_imbalance", text)
