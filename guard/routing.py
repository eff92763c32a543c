"""Where a record goes: a pure table from mode and verdict to one of three outputs, topics or files."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from guard.verdict import Status

__all__ = ["ROUTES", "Mode", "Sink"]

Mode = Literal["enforce", "observe"]
"""`enforce` separates held samples; `observe` passes them with the clean ones and only tells."""


class Sink(StrEnum):
    """An output, by what it is for."""

    CLEAN = "clean"
    QUARANTINE = "quarantine"
    DEAD_LETTER = "dead_letter"


ROUTES: dict[Mode, dict[Status, Sink]] = {
    "enforce": {
        Status.CLEAN: Sink.CLEAN,
        Status.QUARANTINED: Sink.QUARANTINE,
        Status.MALFORMED: Sink.DEAD_LETTER,
    },
    "observe": {
        Status.CLEAN: Sink.CLEAN,
        Status.QUARANTINED: Sink.CLEAN,
        Status.MALFORMED: Sink.DEAD_LETTER,
    },
}
"""`observe` passes what the model would hold, marked; what no reader could decode is a dead letter in both modes.

A verdict that stands in neither table, as a reviewer's decision, is an error of the caller: KeyError, never a pass.
"""
