"""`depois drift`: have the data changed, or do few sources attack, by what `depois filter` found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

if TYPE_CHECKING:
    from guard.drift import Drift

__all__ = ["drift"]

_NAMES = {"p_values": "p-values of passed samples", "labels": "labels", "refusals": "refused samples"}


def drift(
    filtered: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `depois filter` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,  # noqa: FBT002
) -> None:
    """Tell drift, where all sources change, from an attack, where few do.

    Each source votes once in each window, so that few sources cannot raise an alarm here, however much they send.
    Evidence is in powers of ten. The probability of any false alarm is at most 1 %, however long the input is.

    Example: depois filter samples.jsonl --bundle bundle --out filtered; depois drift filtered
    """
    from guard.filter.evidence import DRIFT, EVIDENCE, read_blame, read_drift

    found = read_drift(filtered / DRIFT)
    sources, blame = read_blame(filtered / EVIDENCE)
    rows = _rows(found)
    said = _conclusion([row["watched"] for row in rows if row["alarmed"]], blame.accused_count, len(sources.entries))
    if as_json:
        _print_json({"records": found.records, "accused": blame.accused_count, "conclusion": said, "watched": rows})
    else:
        _show(rows, said)


def _rows(found: Drift) -> list[dict[str, Any]]:
    from guard.drift import Watched

    return [
        {
            "watched": name,
            "alarmed": found.is_alarmed(name),
            "alarms": found.alarms(name),
            "evidence": round(found.log10_evidence(name), 2),
            "needed": round(found.log10_needed(name), 2),
            "votes": found.votes(name),
        }
        for name in get_args(Watched)
    ]


def _conclusion(alarmed: list[str], accused: int, sources: int) -> str:
    if alarmed and accused:
        many = 2 * accused > sources
        return "drift: many sources stand accused because of it" if many else "drift, and an attack beside it"
    if alarmed:
        return "drift: the samples of all sources have changed"
    return "an attack of few sources; the others are as ever" if accused else "no change"


def _print_json(content: dict[str, Any]) -> None:
    import msgspec

    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")


def _show(rows: list[dict[str, Any]], said: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("watched", "", "evidence", "needed", "votes", "alarms")
    for row in rows:
        numbers = (f"10^{row['evidence']:.1f}", f"10^{row['needed']:.1f}", f"{row['votes']:,}", str(row["alarms"]))
        table.add_row(_NAMES[row["watched"]], "alarmed" if row["alarmed"] else "", *numbers)
    console.print(table)
    console.print(said)
