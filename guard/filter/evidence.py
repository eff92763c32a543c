"""What `depois filter` leaves about sources and drift, read as bytes that anybody may have changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from guard.blame import Blame, PlaceState, StateUnreadable
from guard.drift import Drift, DriftState
from guard.errors import InputUnreadable

__all__ = ["DRIFT", "EVIDENCE", "read_blame", "read_drift"]

EVIDENCE = "evidence.json"
"""What is known about each source; `depois sources` shows it."""

DRIFT = "drift.json"
"""Whether the samples of all sources changed; `depois drift` shows it."""

_State = TypeVar("_State")


def read_blame(path: Path) -> tuple[PlaceState, Blame]:
    """Counts in a file like `evidence.json`, and who is accused by them. Raises InputUnreadable, StateUnreadable."""
    state = _read(path, PlaceState.from_bytes)
    blame = Blame(state.suspicion)
    blame.hear(state)
    return state, blame


def read_drift(path: Path) -> Drift:
    """The votes in a file like `drift.json`. Raises InputUnreadable, StateUnreadable."""
    state = _read(path, DriftState.from_bytes)
    return Drift(state.expected, state)


def _read(path: Path, parse: Callable[[bytes], _State]) -> _State:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        advice = "Name a folder that `depois filter` has finished"
        raise InputUnreadable(f"{path} cannot be read: {error.strerror}. {advice}.") from error
    except StateUnreadable as error:
        raise StateUnreadable(f"{path}: {error}. Filter the samples again.") from error
