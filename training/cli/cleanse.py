"""`depois cleanse`: a snapshot that may be poisoned in, the rows that may be trusted out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.folder import require_free
from training.cli.data import open_data

if TYPE_CHECKING:
    from training.cleanse.cleanse import Cleansed

__all__ = ["cleanse"]


def cleanse(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A snapshot, or a file or folder to make one from.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist.")],
    method: Annotated[str, typer.Option(help="lgm, epic, meca, or auto, which explains what it chose.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same outcome.")] = 0,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The label's column, where DATA is a CSV or Parquet file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find rows that look poisoned in data that nobody vouches for, and write a snapshot without them.

    Needs no clean data and no rate of poison. Writes the kept rows as a snapshot that records how it was cleansed, the
    suspected ones as a folder for `depois review --folder`, every row with its score and suggested label, and a
    report with pictures. Data in which labels do not follow from rows are refused, never called clean.

    Example: depois cleanse doubtful.npz --out cleansed
    """
    from training.cleanse.cleanse import cleanse_snapshot
    from training.cleanse.outcome import as_json as told
    from training.cleanse.outcome import write_outcome
    from training.progress import terminal_progress

    require_free(out)
    snapshot = open_data(data, label, None, seed)
    with terminal_progress() as progress:
        cleansed = cleanse_snapshot(snapshot, method, seed, progress)
    write_outcome(cleansed, out)
    if as_json:
        typer.echo(json.dumps(told(cleansed), ensure_ascii=False))
    else:
        _show(cleansed, out)


_TOLD_FROM = 10


def _let_go(one: dict[str, Any]) -> str:
    from guard.terminal import printable

    return (
        f"{one['let_go']:,} rows of {printable(str(one['name']))} resemble each other as rows with a trigger do, and "
        "are read like other rows of their class. They are kept; look at those with the highest scores in rows.jsonl."
    )


def _show(cleansed: Cleansed, out: Path) -> None:
    from rich.console import Console

    from guard.terminal import printable
    from training.cleanse.outcome import as_json as told

    found = told(cleansed)
    console: Any = Console(markup=False, emoji=False, highlight=False)
    console.print(f"Method: {found['why']}.", soft_wrap=True)
    console.print(f"{found['suspected']:,} of {found['rows']:,} rows are suspected.", soft_wrap=True)
    for one in found["classes"]:
        if one["let_go"] >= _TOLD_FROM:
            console.print(_let_go(one), soft_wrap=True)
    small = [one for one in found["classes"] if not one["judged"]]
    if small:
        names = ", ".join(printable(str(one["name"])) for one in small)
        console.print(f"Not judged, for they have too few rows: {names}.", soft_wrap=True)
    console.print(f"Kept: {out / 'snapshot'}. Review: depois review --folder {out / 'suspected'}", soft_wrap=True)
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True)
