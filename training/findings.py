"""What is wrong with trusted data, said so that a person can go to the row and column and decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

__all__ = ["LISTED_ROWS", "Finding", "FindingCode", "Severity", "of_rows"]

Severity = Literal["note", "warning", "refusal"]
"""note: kept as it is; warning: something was left out or deserves a look; refusal: no snapshot is made."""

FindingCode = Literal[
    "class_imbalance",
    "class_too_small",
    "class_unlearnable",
    "conflicting_labels",
    "constant_column",
    "duplicate_rows",
    "empty_column",
    "identifier_column",
    "image_converted",
    "infinite_value",
    "label_copy",
    "malformed_row",
    "many_categories",
    "missing_label",
    "mostly_gaps",
    "task_chosen",
    "unread_data",
]
"""The closed set of things that can be found, for programs that read `--json`."""

LISTED_ROWS = 10
"""Row numbers that a finding lists; the rest is counted."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    `rows`: the first row numbers of the source that it concerns (from 1, at most LISTED_ROWS); `count`: how many rows
    it concerns in all, 0 when it is not about rows.
    """

    severity: Severity
    code: FindingCode
    message: str
    column: str | None = None
    rows: tuple[int, ...] = ()
    count: int = 0


def of_rows(
    severity: Severity,
    code: FindingCode,
    message: str,
    rows: Sequence[int] | NDArray[Any],
    column: str | None = None,
) -> Finding:
    """A finding about `rows` (row numbers of the source); the numbers are appended to the message."""
    listed = tuple(int(row) for row in rows[:LISTED_ROWS])
    text = f"{message} ({_row_list(listed, len(rows))})"
    return Finding(severity, code, text, column=column, rows=listed, count=len(rows))


def _row_list(listed: tuple[int, ...], count: int) -> str:
    if count == 1:
        return f"row {listed[0]}"
    more = f" and {count - len(listed):,} more" if count > len(listed) else ""
    return f"rows {', '.join(map(str, listed))}{more}"
