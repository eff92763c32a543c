"""`depois snapshot`: make a trusted snapshot, and look at one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from guard.conformal import band, rows_needed
from guard.spec import ImageInput, NumberLabel, Task
from guard.terminal import printable
from training.allowance import allowance
from training.create import create_snapshot
from training.findings import Finding
from training.folds import plan_folds
from training.presets import PRESETS
from training.snapshot import Snapshot, read_snapshot, write_snapshot
from training.summary import summarise_classes, summarise_columns

__all__ = ["app", "create", "show"]

app = typer.Typer(
    help="Make a trusted snapshot from a file or folder, or show one.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_ALPHA = 0.01
_LISTED = 60
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@app.command(epilog="Example: depois snapshot create houses.csv --label SalePrice --out snapshot")
def create(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="CSV, Parquet, JSONL (wire format), NPZ (x, y) or a folder of images per class."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The folder to write; it must not exist.")],
    label: Annotated[str | None, typer.Option(help="The column that holds the label (CSV and Parquet).")] = None,
    task: Annotated[Task | None, typer.Option(help="What the label is; chosen from the label if not given.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which row falls into which fold.")] = 0,
    keep: Annotated[
        list[str] | None, typer.Option(help="Keep a column that looks like an identifier; repeatable.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Leave a column out; repeatable.")] = None,
    as_json: _Json = False,
) -> None:
    """Make a trusted snapshot: infer what a legal sample is, report what is odd, split, and seal it with a digest."""
    created = create_snapshot(source, label, task, seed, keep=keep or (), drop=drop or ())
    write_snapshot(created.snapshot, out)
    _report(created.snapshot, out, findings=created.findings, as_json=as_json)


@app.command(epilog="Example: depois snapshot show snapshot")
def show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `depois snapshot create` wrote.")],
    *,
    as_json: _Json = False,
) -> None:
    """Show what a snapshot holds, where it comes from and what α its size allows. Its digest is verified."""
    _report(read_snapshot(folder), folder, findings=(), as_json=as_json)


def _report(snapshot: Snapshot, folder: Path, *, findings: Sequence[Finding], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_as_json(snapshot, findings, folder), ensure_ascii=False))
        return
    console = Console(markup=False, highlight=False, emoji=False)
    console.print(_title(snapshot))
    _print_columns(console, snapshot)
    _print_pairs(console, ("class", "rows"), ((str(c.label), f"{c.rows:,}") for c in summarise_classes(snapshot)))
    _print_pairs(console, ("found", ""), ((finding.severity, finding.message) for finding in findings))
    _print_pairs(console, ("made from", ""), ((key, value) for key, value in snapshot.provenance.items() if value))
    console.print(_alpha(snapshot)["sentence"], soft_wrap=True)
    console.print(f"{folder}  sha256 {snapshot.digest}", soft_wrap=True)


def _as_json(snapshot: Snapshot, findings: Sequence[Finding], folder: Path) -> Mapping[str, Any]:
    return {
        "snapshot": str(folder),
        "digest": snapshot.digest,
        "rows": len(snapshot.x),
        "task": snapshot.spec.task,
        "spec": snapshot.spec.model_dump(mode="json"),
        "columns": [asdict(column) for column in summarise_columns(snapshot)],
        "classes": [asdict(each) for each in summarise_classes(snapshot)],
        "findings": [asdict(finding) for finding in findings],
        "alpha": _alpha(snapshot),
        "provenance": snapshot.provenance,
    }


def _alpha(snapshot: Snapshot) -> dict[str, Any]:
    """What the default α is worth with the rows that would calibrate."""
    plan = plan_folds(snapshot, PRESETS["standard"].folds)
    rows = len(plan.calibration)
    held = band(_ALPHA, [rows])
    sentence = allowance(_ALPHA, rows, held_out=plan.held_out, found=held)
    return {
        "value": _ALPHA,
        "calibration_rows": rows,
        "needed": rows_needed(_ALPHA),
        **asdict(held),
        "sentence": sentence,
    }


def _title(snapshot: Snapshot) -> str:
    spec = snapshot.spec
    if isinstance(spec.input, ImageInput):
        what = f"images of {spec.input.height} × {spec.input.width} pixels, {spec.input.channels} channel(s)"
    else:
        what = f"rows of {len(spec.input.columns)} columns"
    if isinstance(spec.label, NumberLabel):
        label = f"a number from {snapshot.y.min():g} to {snapshot.y.max():g}"
    else:
        label = f"one of {len(spec.label.values)} classes"
    return f"{len(snapshot.x):,} {what}; the label is {label} ({spec.task})"


def _print_columns(console: Console, snapshot: Snapshot) -> None:
    columns = summarise_columns(snapshot)
    if not columns:
        return
    table = Table(*(Column(title, overflow="fold") for title in ("column", "kind", "values", "legal", "gaps")))
    for column in columns[:_LISTED]:
        gaps = f"{100 * column.gaps:.1f} %" if column.gaps else ""
        table.add_row(*map(printable, (column.name, column.kind, column.values, column.legal, gaps)))
    console.print(table)
    if len(columns) > _LISTED:
        console.print(f"… and {len(columns) - _LISTED} more columns; --json shows all")


def _print_pairs(console: Console, head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> None:
    table = Table(*(Column(title, overflow="fold") for title in head))
    for row in rows:
        table.add_row(*map(printable, row))
    if table.row_count:
        console.print(table)
