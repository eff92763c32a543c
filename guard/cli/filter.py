"""`depois filter`: split a file or a pipe of samples with a model bundle."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from guard.errors import BundleRefused
from guard.routing import Mode

if TYPE_CHECKING:
    from guard.bundle import Bundle
    from guard.filter.summary import Summary

__all__ = ["filter"]

_EXIT_REJECTED = 3
_SHOWN_SOURCES = 10


def filter(  # noqa: A001 – the command's name
    samples: Annotated[
        str,
        typer.Argument(
            metavar="SAMPLES", help="A .jsonl, .csv, .parquet or .npz file, or - for JSON Lines from a pipe."
        ),
    ],
    bundle: Annotated[Path, typer.Option(help="The model bundle.", metavar="BUNDLE")],
    out: Annotated[Path, typer.Option(help="A new folder for the results.", metavar="DIR")],
    alpha: Annotated[
        float | None, typer.Option(help="Share of clean samples that may be held; else the bundle's.")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="observe: pass held samples as clean and only tell.")] = "enforce",
    boundary: Annotated[
        Literal["conformal", "zscore"] | None, typer.Option(help="zscore: the paper's μ − 1.96 σ of the mimic alone.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Refuse any bundle but the one with this digest.", metavar="HEX")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a bundle whose α is extrapolated.")] = False,  # noqa: FBT002
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run into DIR was stopped.")] = False,  # noqa: FBT002
    label: Annotated[str | None, typer.Option(help="CSV, Parquet: the label's column.", metavar="COLUMN")] = None,
    source: Annotated[
        str | None, typer.Option(help="CSV, Parquet: the source's column; else the file's name.", metavar="COLUMN")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="CSV, Parquet: a column to leave out.", metavar="COLUMN")
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where the model runs.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="Threads of the model; 0: all cores.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Split samples into clean.jsonl, quarantine.jsonl and rejected.jsonl.

    Every record ends in exactly one of them, its bytes unchanged; only a last line without LF is given one.
    verdicts.jsonl says why a record was not passed, summary.json counts.

    The exit code is 0, or 3 when some records were rejected as malformed.

    Example: depois filter samples.jsonl --bundle bundle --out filtered
    """
    from guard.bundle import load_bundle
    from guard.filter.inputs import Samples
    from guard.filter.run import Task, run_filter
    from guard.filter.stop import Stop

    model = load_bundle(bundle, device=device, alpha=alpha, boundary=boundary, sha256=sha256, threads=threads)
    if strict:
        _refuse_extrapolated(model)
    task = Task(Samples(samples, label, source, tuple(drop or ())), out, mode, resume)
    with Stop() as stop, _progress() as progress:
        summary = run_filter(task, model, stop, progress)
    if as_json:
        sys.stdout.write(summary.model_dump_json(indent=2) + "\n")
    else:
        _show(summary, out)
    if summary.verdicts.get("malformed"):
        raise typer.Exit(_EXIT_REJECTED)


def _refuse_extrapolated(bundle: Bundle) -> None:
    alpha = bundle.alpha
    if alpha.extrapolated:
        low, high = alpha.band
        raise BundleRefused(
            f"--strict: α = {alpha.value:.2%} is extrapolated from {alpha.calibration_rows} calibration samples and "
            f"may really be {low:.2%} to {high:.2%}. Give a larger --alpha, or train on more trusted samples."
        )


@contextmanager
def _progress() -> Iterator[Callable[[int, int | None], None]]:
    """A bar with the time left where a person looks at standard error; nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda _position, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("filtering", total=None)
        yield lambda position, total: bar.update(shown, completed=position, total=total)


def _show(summary: Summary, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from guard.rejection import shown

    console = Console(markup=False, emoji=False, highlight=False)  # names come from the samples
    table = Table("verdict", "records", title=f"{summary.samples}: {summary.records:,} records")
    for verdict, count in summary.verdicts.items():
        table.add_row(verdict, f"{count:,}")
    for reason, count in sorted(summary.reasons.items(), key=lambda item: -item[1]):
        table.add_row(f"  {reason}", f"{count:,}", style="dim")
    console.print(table)
    sources = Table("source", "records", "quarantined", "rejected")
    for group in summary.sources.kept[:_SHOWN_SOURCES]:
        name = "(unknown)" if group.name is None else shown(group.name)
        sources.add_row(name, f"{group.records:,}", f"{group.quarantined:,}", f"{group.rejected:,}")
    console.print(sources)
    console.print(_in_words(summary, out))


def _in_words(summary: Summary, out: Path) -> str:
    alpha = summary.alpha
    held = "nothing well-formed" if summary.held_share is None else f"{summary.held_share:.2%} of the well-formed held"
    kind = ", extrapolated" if alpha.extrapolated else ""
    passed = " (mode observe: passed all the same)" if summary.mode == "observe" else ""
    return (
        f"{held}{passed}; α = {alpha.value:.2%} (band {alpha.band[0]:.2%} to {alpha.band[1]:.2%}{kind}). "
        f"{summary.records_per_second:,.0f} records/s with {summary.model}:{summary.model_version}. Written to {out}."
    )
