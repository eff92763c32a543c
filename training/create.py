"""From a file of trusted data to a snapshot: read, leave out what cannot be learned, infer, encode, split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from guard.errors import SnapshotRefused, WrongUse
from guard.rfc3339 import now_text
from guard.spec import Task
from training.audit import MIN_ROWS
from training.findings import Finding, of_rows
from training.infer import choose_task, encode
from training.ingest.raw import RawInput, RawTable
from training.ingest.source import Source, read_source
from training.inspection import (
    find_class_counts,
    find_empty_columns,
    find_identifiers,
    find_infinities,
    find_label_copies,
    find_odd_columns,
    find_twins,
    lonely_classes,
)
from training.snapshot import Snapshot, snapshot_from_arrays

__all__ = ["Created", "create_snapshot"]


_LEAVES_OUT = frozenset(
    {"class_unlearnable", "empty_column", "identifier_column", "label_copy", "malformed_row", "missing_label"}
)


@dataclass(frozen=True)
class Created:
    """A new snapshot and everything that was found on the way to it, most severe first."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]


def create_snapshot(
    source: str | Path,
    label: str | None = None,
    task: Task | None = None,
    seed: int = 0,
    *,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> Created:
    """A snapshot of the trusted data in `source`: CSV, Parquet, JSONL, NPZ, or a folder of images per class.

    `label`: the label's column (CSV, Parquet); `task`: chosen from the label when None; `keep`: columns to keep
    although they look like identifiers or copies of the label; `drop`: columns to leave out. Raises InputUnreadable,
    WrongUse, or SnapshotRefused with everything that stands against the data.
    """
    read = read_source(Path(source), label, drop)
    rows, findings = _with_labels(read.rows)
    _check_keep(rows, keep)
    chosen, why = choose_task(rows.label) if task is None else (task, "")
    if why:
        findings.append(Finding("note", "task_chosen", why))
    rows, left_out = _learnable(rows, chosen, keep)
    findings = _refuse_if_any([*findings, *left_out, *find_infinities(rows)])
    encoded = encode(rows, chosen)
    findings += [*_odd(rows), *find_twins(encoded, rows.origin), *find_class_counts(encoded)]
    options = {"task": chosen, "label": rows.label.name, "seed": str(seed), "keep": _names(keep), "drop": _names(drop)}
    provenance = _provenance(read, options, findings)
    snapshot = snapshot_from_arrays(encoded.x, encoded.y, encoded.spec, provenance, seed=seed, origin=rows.origin)
    return Created(snapshot, tuple(sorted(findings, key=_severity)))


def _with_labels(rows: RawInput) -> tuple[RawInput, list[Finding]]:
    """The rows that have a label, and all findings so far."""
    missing = np.isnan(rows.label.codes)
    findings = list(rows.findings)
    if missing.any():
        text = f"label {rows.label.name!r} is missing: rows left out"
        findings.append(of_rows("warning", "missing_label", text, rows.origin[missing], rows.label.name))
    rows = rows.take(~missing)
    _require_rows(rows, findings)
    return rows, findings


def _learnable(rows: RawInput, task: Task, keep: Sequence[str]) -> tuple[RawInput, list[Finding]]:
    """Leaves out columns that must not be learned from, classes that cannot be learned, and empty columns."""
    findings: list[Finding] = []
    rows, found = _without_columns(
        rows, lambda table: [*find_identifiers(table, keep), *find_label_copies(table, keep)]
    )
    findings += found
    if task == "classification":
        rows, found = _without_lonely(rows)
        findings += found
    rows, found = _without_columns(rows, find_empty_columns)
    return rows, findings + found


def _without_columns(rows: RawInput, find: Callable[[RawTable], Iterable[Finding]]) -> tuple[RawInput, list[Finding]]:
    if not isinstance(rows, RawTable):
        return rows, []
    findings = list(find(rows))
    gone = {finding.column for finding in findings}
    columns = tuple(column for column in rows.columns if column.name not in gone)
    if not columns:
        reasons = "; ".join(finding.message for finding in findings)
        raise SnapshotRefused(f"no column is left beside the label to learn from{': ' * bool(reasons)}{reasons}")
    return replace(rows, columns=columns), findings


def _without_lonely(rows: RawInput) -> tuple[RawInput, list[Finding]]:
    lonely = lonely_classes(rows)
    if not lonely.any():
        return rows, []
    text = "a class with only one distinct input cannot be learned out of fold: rows left out"
    finding = of_rows("warning", "class_unlearnable", text, rows.origin[lonely], rows.label.name)
    rows = rows.take(~lonely)
    _require_rows(rows, [finding])
    return rows, [finding]


def _require_rows(rows: RawInput, findings: Iterable[Finding]) -> None:
    usable = len(rows.origin)
    if usable < MIN_ROWS:
        reasons = "".join(f"; {finding.message}" for finding in findings if finding.count)
        raise SnapshotRefused(
            f"{usable} usable rows, at least {MIN_ROWS} are needed{reasons}; add {MIN_ROWS - usable} trusted rows"
        )


def _refuse_if_any(findings: list[Finding]) -> list[Finding]:
    refusals = [finding.message for finding in findings if finding.severity == "refusal"]
    if refusals:
        raise SnapshotRefused("; ".join(refusals))
    return findings


def _check_keep(rows: RawInput, keep: Sequence[str]) -> None:
    names = [column.name for column in rows.columns] if isinstance(rows, RawTable) else []
    for name in keep:
        if name not in names:
            raise WrongUse(f"--keep {name}: there is no such column beside the label")


def _odd(rows: RawInput) -> list[Finding]:
    return list(find_odd_columns(rows)) if isinstance(rows, RawTable) else []


def _severity(finding: Finding) -> int:
    return ("refusal", "warning", "note").index(finding.severity)


def _provenance(read: Source, options: Mapping[str, str], findings: Sequence[Finding]) -> dict[str, str]:
    """Where a snapshot comes from. The input's name stands without its folder: folders tell about machines."""
    left_out = [finding.message for finding in findings if finding.code in _LEAVES_OUT]
    return {
        "input": read.name,
        "bytes": str(read.size),
        "sha256": read.sha256,
        "rows": str(len(read.rows.origin)),
        "created": now_text(),
        "product": _version(),
        **options,
        "left_out": "; ".join(left_out),
    }


def _names(columns: Sequence[str]) -> str:
    return ", ".join(columns)


def _version() -> str:
    try:
        return f"depois-guard {version('depois-guard')}"
    except PackageNotFoundError:
        return "depois-guard, run from its sources"
