"""Where a run can go on after it was killed: the input's position, the outputs' lengths and the counts, on disk.

1. all outputs are written and fsynced, 2. the checkpoint is written beside and fsynced, 3. it is renamed over the old
one, 4. the folder is fsynced. A kill at any point leaves the old checkpoint or the new one, each of them true: what
the outputs hold beyond its lengths is cut off by the run that goes on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from guard.errors import InputUnreadable, OutputFailed, WrongUse
from guard.filter.tally import TallyState

__all__ = ["CHECKPOINT", "DRAFT", "Checkpoint", "Origin", "input_hash", "read_checkpoint"]

CHECKPOINT = "checkpoint.json"
DRAFT = ".draft"
"""What a file is called until it is whole; a kill may leave one behind."""

_HASHED_BYTES = 1 << 16
"""Bytes hashed at the start and at the end of an input. All of it would cost as much as reading it."""


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(_Stored):
    """What a run that goes on must have in common with the one that was stopped."""

    input_bytes: int
    input_sha256: str
    columns: str
    bundle: str
    alpha: float
    boundary: str
    mode: str


_CHANGED = {
    "input_bytes": "the input has another size",
    "input_sha256": "the input holds other bytes",
    "columns": "--label, --source or --drop is another",
    "bundle": "the bundle is another",
    "alpha": "α is another",
    "boundary": "the boundary is another",
    "mode": "--mode is another",
}


class Checkpoint(_Stored):
    """`position`: where the reader goes on; `lengths`: bytes of each output that belong to what came before.

    `evidence`, `drift`: what `guard.blame` keeps about sources, and `guard.drift` about all of them, as JSON.
    """

    origin: Origin
    position: int
    lengths: dict[str, int]
    tally: TallyState
    seconds: float
    evidence: str = ""
    drift: str = ""


def input_hash(path: Path) -> str:
    """SHA-256 over the first and the last 64 KiB of a file. Raises InputUnreadable."""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(_HASHED_BYTES))
            file.seek(max(0, path.stat().st_size - _HASHED_BYTES))
            digest.update(file.read(_HASHED_BYTES))
    except OSError as error:
        raise InputUnreadable(
            f"{path} cannot be read: {error.strerror}. Check the path and its permissions."
        ) from error
    return digest.hexdigest()


def read_checkpoint(folder: Path, origin: Origin) -> Checkpoint | None:
    """The checkpoint in `folder`, None where none was written yet.

    Raises OutputFailed when it is damaged, WrongUse when it was written for another `origin`.
    """
    try:
        found = Checkpoint.model_validate_json((folder / CHECKPOINT).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise OutputFailed(f"{folder / CHECKPOINT} is damaged: {error}. Filter into a new folder.") from error
    for field, meaning in _CHANGED.items():
        if getattr(found.origin, field) != getattr(origin, field):
            raise WrongUse(
                f"{folder} cannot be resumed: {meaning} than when the run was started. "
                "Repeat the first command with --resume, or filter into a new folder."
            )
    return found
