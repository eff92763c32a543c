"""Data as a command of training takes them: a snapshot, or a file or image folder to make one from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from guard.errors import WrongUse
from guard.spec import Task
from guard.terminal import printable

if TYPE_CHECKING:
    from training.snapshot import Snapshot

__all__ = ["open_data"]


def open_data(source: Path, label: str | None, task: Task | None, seed: int) -> Snapshot:
    """The snapshot in the folder `source`, or a new one from the data in it. Findings go to standard error.

    Raises SnapshotRefused; WrongUse for `label` or `task` beside a snapshot, which has its own.
    """
    from training.create import create_snapshot
    from training.snapshot import read_snapshot

    if (source / "snapshot.json").exists():
        if label is not None or task is not None:
            raise WrongUse(f"{source} is a snapshot: its label and task are fixed; leave out --label and --task")
        return read_snapshot(source)
    created = create_snapshot(source, label, task, seed)
    for finding in created.findings:
        typer.echo(f"{finding.severity}: {printable(finding.message)}", err=True)
    return created.snapshot
