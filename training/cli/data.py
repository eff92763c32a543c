"""Data as a command of training takes them: a snapshot, or a file or image folder to make one from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from guard.errors import WrongUse
from guard.spec import Task
from guard.terminal import printable

if TYPE_CHECKING:
    from training.findings import Finding
    from training.snapshot import Snapshot
    from training.unlabelled import Unlabelled

__all__ = ["open_data", "open_unlabelled"]


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
    _tell(created.findings)
    return created.snapshot


def open_unlabelled(path: Path, snapshot: Snapshot) -> Unlabelled:
    """The rows in `path` beside those of `snapshot`. Records that are left out are named on standard error.

    Raises InputUnreadable.
    """
    from training.unlabelled import read_unlabelled

    found = read_unlabelled(path, snapshot)
    _tell(found.findings)
    return found


def _tell(findings: Iterable[Finding]) -> None:
    for finding in findings:
        typer.echo(f"{finding.severity}: {printable(finding.message)}", err=True)
