"""`depois sources`: who sends poison, by what `depois filter` found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from guard.blame import PlaceState, Standing

__all__ = ["sources"]


def sources(
    filtered: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `depois filter` wrote.")],
    top: Annotated[int, typer.Option(min=1, help="How many sources to show.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Show which sources are accused of sending poison, and how strong the evidence is.

    A source is accused when the evidence against it reaches what is needed, in powers of ten. What is needed grows with
    the number of sources, so that the probability of accusing any honest one is at most 1 %, however long the input is.
    Evidence comes from p-values, not from the held records alone; `held` counts those.

    Example: depois filter samples.jsonl --bundle bundle --out filtered; depois sources filtered
    """
    from guard.filter.evidence import EVIDENCE, read_blame

    state, blame = read_blame(filtered / EVIDENCE)
    rows = blame.standings(len(state.entries) if as_json else top)
    if as_json:
        _print_json(state, blame.accused_count, rows)
    else:
        _show(state, blame.accused_count, rows)


def _print_json(state: PlaceState, accused: int, rows: list[Standing]) -> None:
    import msgspec

    found = {
        "model_sha256": state.suspicion.bundle,
        "level": state.suspicion.level,
        "records": state.records,
        "sources_ever_followed": state.arrivals,
        "accused": accused,
        "sources": [row._asdict() for row in rows],
    }
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")


def _show(state: PlaceState, accused: int, rows: list[Standing]) -> None:
    from rich.console import Console
    from rich.table import Table

    from guard.rejection import shown

    console = Console(markup=False, emoji=False, highlight=False)  # names come from the samples
    table = Table("source", "", "evidence", "needed", "held", "lines")
    for column in table.columns[2:]:
        column.justify = "right"
    for row in rows:
        table.add_row(
            shown(row.source),
            "accused" if row.accused else "",
            f"10^{row.evidence:.1f}",
            f"10^{row.needed:.1f}",
            f"{row.held:,} of {row.records:,}",
            f"{row.first:,}–{row.last:,}",
        )
    console.print(table)
    console.print(
        f"{accused} of {len(state.entries):,} sources accused, of {state.records:,} records; "
        f"any honest one is with probability {state.suspicion.level:.2g} at most."
    )
