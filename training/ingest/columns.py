"""Which column is the label, which are left out: the names a person gave against the names the file has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from guard.errors import SnapshotRefused, WrongUse
from training.ingest.raw import RawColumn

__all__ = ["check_names", "fixed_label", "without"]

_LISTED = 20


def check_names(names: Sequence[str], title: str, label: str | None, drop: Sequence[str]) -> str:
    """Returns `label`, which must be among `names` as all of `drop` must be.

    Raises WrongUse when no label is given, SnapshotRefused when a name is not there or stands twice in `names`.
    """
    if label is None:
        raise WrongUse(f"say which column of {title} is the label: --label COLUMN; it has {_some(names)}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise SnapshotRefused(f"{title}: column names stand twice in the header: {twice}; rename or remove them")
    for name in (label, *drop):
        if name not in names:
            raise SnapshotRefused(f"{title} has no column {name!r}; it has {_some(names)}")
    if label in drop:
        raise WrongUse(f"column {label!r} is the label; it cannot be dropped")
    return label


def fixed_label(title: str, label: str | None, own: str) -> None:
    """Raises WrongUse when `label` is given and is not `own`, the only place where this kind of file has labels."""
    if label not in (None, own):
        raise WrongUse(f"the labels of {title} are in {own!r}, not in {label!r}; leave --label out")


def without(columns: Sequence[RawColumn], title: str, drop: Sequence[str]) -> tuple[RawColumn, ...]:
    """The columns whose names are not in `drop`. Raises SnapshotRefused when a name in `drop` is no column."""
    names = [column.name for column in columns]
    for name in drop:
        if name not in names:
            raise SnapshotRefused(f"{title} has no column {name!r}; it has {_some(names)}")
    return tuple(column for column in columns if column.name not in drop)


def _some(names: Sequence[str]) -> str:
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        return f"only {names[0]!r}: separate the columns by commas"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more
