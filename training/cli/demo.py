"""`depois demo`: poison a stream of real data, filter it, and report what was held."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from training.demo.run import Demo
    from training.rate import Rate

__all__ = ["demo"]


def demo(
    data: Annotated[
        Literal["digits", "mnist", "fourclass", "house"],
        typer.Option(help="digits needs no file; the others are read from DEPOIS_DATA."),
    ] = "digits",
    out: Annotated[Path, typer.Option(help="Folder for all that is written.", metavar="DIR")] = Path("demo-output"),
    seed: Annotated[int, typer.Option(min=0, help="Draws rows, attacks and models.")] = 0,
    preset: Annotated[Literal["fast", "standard", "paper"], typer.Option(help="How much training.")] = "fast",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Train on trusted rows, filter a crowd of honest and hostile contributors, and count against the truth.

    Writes report.html, the snapshot, the stream, the bundle and what the filter said of each line. A folder that an
    earlier demo wrote is written anew.

    Example: depois demo --data fourclass --out fourclass-demo --seed 1
    """
    from training.demo.report import write_report
    from training.demo.run import Settings, run_demo
    from training.progress import terminal_progress

    with terminal_progress() as progress:
        finished = run_demo(Settings(data, out, seed, preset), progress)
    report = write_report(finished)
    if as_json:
        sys.stdout.write(json.dumps(_as_json(finished, report), indent=2, ensure_ascii=False) + "\n")
    else:
        _show(finished, report)


def _as_json(finished: Demo, report: Path) -> dict[str, Any]:
    figures = finished.figures
    return {
        "data": finished.settings.data,
        "seed": finished.settings.seed,
        "preset": finished.settings.preset,
        "trusted": len(finished.scenario.y),
        "lines": len(finished.told),
        "alpha": finished.manifest.alpha.model_dump(),
        "false_alarms": figures.false_alarms.as_json,
        "recall": {name: rate.as_json for name, rate in figures.recall.items()},
        "right_label_suggested": {name: rate.as_json for name, rate in figures.corrected.items()},
        "contributors": [{**vars(row), "malformed": row.malformed} for row in figures.contributors],
        "junk": [vars(row) for row in figures.junk],
        "seconds": finished.seconds,
        "model_sha256": finished.digest,
        "report": str(report),
    }


def _show(finished: Demo, report: Path) -> None:
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    for table in (_attacks(finished), _contributors(finished), _junk(finished)):
        console.print(table)
    spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in finished.seconds.items())
    console.print(f"{spent}.\nWith pictures of what was held, missed and held wrongly: {report}")


def _attacks(finished: Demo) -> Any:
    from rich.table import Table

    figures, alpha = finished.figures, finished.manifest.alpha
    title = f"{finished.settings.data}: {len(finished.scenario.y)} trusted rows, {len(finished.told)} lines"
    table = Table("attack", "sent", "held", "recall", "95 % interval", "right label suggested", title=title)
    for name, rate in figures.recall.items():
        right = figures.corrected.get(name)
        table.add_row(name, *_cells(rate), f"{right.count} of {right.total}" if right else "–")
    table.add_section()
    table.add_row("none (false alarms)", *_cells(figures.false_alarms), "–")
    low, high = alpha.band
    extrapolated = ", extrapolated" if alpha.extrapolated else ""
    table.caption = f"asked for α = {alpha.value:.1%}; this bundle can hold it to {low:.2%} – {high:.2%}{extrapolated}"
    return table


def _cells(rate: Rate) -> tuple[str, str, str, str]:
    return str(rate.total), str(rate.count), rate.spelled, rate.spelled_interval


def _contributors(finished: Demo) -> Any:
    from rich.table import Table

    table = Table("source", "what it really does", "sent", "poisoned", "passed", "held", "malformed", "share held")
    for row in finished.figures.contributors:
        counts = (row.sent, row.poisoned, row.passed, row.held, row.malformed)
        table.add_row(row.name, row.kind, *map(str, counts), f"{row.held / row.sent:.1%}")
    return table


def _junk(finished: Demo) -> Any:
    from rich.table import Table

    table = Table("junk", "lines", "refused or held for that reason")
    for row in finished.figures.junk:
        table.add_row(row.reason, str(row.sent), str(row.named))
    return table
