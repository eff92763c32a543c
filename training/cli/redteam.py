"""`depois redteam`: all attacks that apply against a bundle of one's own, counted on data of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.errors import WrongUse
from guard.folder import require_free
from training.cli.data import open_data

if TYPE_CHECKING:
    from training.rate import Rate
    from training.redteam.battery import Battery

__all__ = ["redteam"]


def redteam(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle to attack. It is not changed.")],
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Clean rows that its snapshot does not hold: a snapshot, file or folder."),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist.")] = Path("redteam"),
    attacks: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Which attacks; all: also variants that move pixels less.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same attacks.")] = 0,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The label's column, where DATA is a CSV or Parquet file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Attack a bundle of your own, and count what it holds.

    Half of the rows go to the attackers, on the other half false alarms are counted. One attack sends samples and
    sees which of them pass. Writes redteam.json and redteam.html, never into the bundle.

    Example: depois redteam bundle outside.csv --label price_band --out redteam
    """
    from guard.bundle import load_bundle
    from training.progress import terminal_progress
    from training.redteam.battery import choose_attacks, run_battery
    from training.redteam.report import as_json as told
    from training.redteam.report import write_findings

    _refuse_place(out, bundle)
    target = load_bundle(bundle)
    names = choose_attacks(target.manifest.spec, attacks.split(",") if attacks is not None else None)
    task = None if (data / "snapshot.json").exists() else target.manifest.spec.task
    rows = open_data(data, label, task, seed)
    with terminal_progress() as progress:
        battery = run_battery(target, rows, names, seed, progress)
    write_findings(battery, bundle, out)
    if as_json:
        typer.echo(json.dumps(told(battery), ensure_ascii=False))
    else:
        _show(battery, out)


def _refuse_place(out: Path, bundle: Path) -> None:
    """What can be known before minutes of attacks. A folder inside the bundle would make every guard refuse it."""
    require_free(out)
    if out.resolve().is_relative_to(bundle.resolve()):
        raise WrongUse(f"{out} lies in the bundle, which may hold nothing else; name a folder outside of it")


def _show(battery: Battery, out: Path) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    title = f"{battery.bundle.manifest.name}: {len(battery.raids)} attacks"
    table = Table(
        Column("attack", no_wrap=True), "sent", "held", "recall", "95 % interval", "passed and harms", title=title
    )
    for raid in battery.raids:
        table.add_row(raid.name, *_cells(raid.held), raid.harm_passed.spelled if raid.harm_passed else "–")
    table.add_section()
    table.add_row("none (false alarms)", *_cells(battery.false_alarms), "–")
    table.caption = f"asked for α = {battery.bundle.alpha.value:.1%}"
    console: Any = Console(markup=False, emoji=False, highlight=False)
    console.print(table)
    for one in battery.unable:
        console.print(f"{one.name} could not be made: {one.why}", soft_wrap=True)
    console.print(f"What each attack does and needs, and what the figures mean: {out / 'redteam.html'}", soft_wrap=True)


def _cells(rate: Rate) -> tuple[str, str, str, str]:
    return str(rate.total), str(rate.count), rate.spelled, rate.spelled_interval
