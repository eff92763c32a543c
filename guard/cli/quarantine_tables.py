"""What `depois quarantine` prints. Everything that a sender or a reviewer wrote is hostile, and made printable."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from guard.review.batch import Report
from guard.review.decision import Action
from guard.review.held import Held, HeldRecord
from guard.review.listing import as_row, expiry
from guard.review.quarantine import Quarantine
from guard.review.queue import Group
from guard.review.statistics import Statistics
from guard.rfc3339 import time_text
from guard.terminal import cell

__all__ = ["show_list", "show_plan", "show_record", "show_report", "show_statistics"]

_SHOWN_GROUPS = 10
_SHOWN_REFUSALS = 20
_SHOWN_VALUE = 2000
_ORIGIN_WIDTH = 24
"""Columns that an origin gets before it is folded."""

_DOING = {Action.RELEASED: "release", Action.REJECTED: "reject", Action.REOPENED: "reopen"}


def show_list(quarantine: Quarantine, shown: Sequence[Held], chosen: int) -> None:
    """A table, without the columns that say nothing of any of them, and how many there are beside those.

    Origins stand without the cluster that all of them share.
    """
    from rich.table import Table

    titles = ("origin", "state", "reason", "p", "member", "source", "label", "trusted say", "judged", "expires")
    rows = []
    clusters = {held.origin.partition("/")[0] for held in shown}
    shared = f"{clusters.pop()}/" if len(clusters) == 1 else ""
    for held in shown:
        state = quarantine.desk.ledger.state(held.origin) or "undecided"
        origin = held.origin.removeprefix(shared)
        row = (origin, state, held.reason, _p(held.p_value), held.member, held.source, held.label)
        times = (time_text(held.judged) or "", time_text(expiry(quarantine, held)) or "")
        rows.append([cell(value) for value in (*row, held.suggested_label, *times)])
    told = [place for place in range(len(titles)) if place == 0 or any(row[place] for row in rows)]
    table = Table(*(titles[place] for place in told))
    table.columns[0].overflow = "fold"
    table.columns[0].min_width = min(_ORIGIN_WIDTH, max((len(row[0]) for row in rows), default=0))
    for line in rows:
        table.add_row(*(line[place] for place in told))
    _console().print(table)
    typer.echo(f"{len(shown)} of {chosen} chosen records; {quarantine.title} holds {len(quarantine.desk.queue)}")


def show_record(quarantine: Quarantine, held: Held, record: HeldRecord | None, bundle: Path | None) -> None:
    """Everything about one record."""
    row = as_row(quarantine, held)
    for name, value in row.items():
        if name not in ("decision", "place") and value not in (None, ""):
            typer.echo(f"{name.replace('_', ' ')}: {cell(value)}")
    for decision in quarantine.desk.ledger.about(held.origin):
        typer.echo(f"{decision.time} {decision.action} by {cell(decision.reviewer)}: {cell(decision.why)}")
    if record is None:
        typer.echo("The record itself is gone: the quarantine holds it no longer.")
        return
    text = record.value[:_SHOWN_VALUE].decode(errors="backslashreplace")
    more = f"… ({held.size} bytes)" if held.size > _SHOWN_VALUE else ""
    typer.echo("".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text) + more)
    if bundle is not None:
        from guard.bundle import load_bundle
        from guard.cli.explain import show_explanation
        from guard.explain import explain_record

        model = load_bundle(bundle)
        show_explanation(explain_record(model, record.value), model)


def show_statistics(quarantine: Quarantine, found: Statistics) -> None:
    """Counts by state, tables by group, and what needs attention."""
    counts = {name: getattr(found, name) for name in ("undecided", "released", "rejected", "expired")}
    typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))
    for by, groups in found.groups.items():
        _show_groups(by, groups)
    for line in _warnings(quarantine, found):
        typer.echo(line)


def show_plan(action: Action, found: Sequence[Held], reviewer: str, why: str, *, dry_run: bool) -> None:
    """What a decision would be about."""
    mood = "would" if dry_run else "will"
    typer.echo(f"{reviewer} {mood} {_DOING[action]} {len(found)} records: {why}")
    for by in ("reason", "source", "label"):
        counts = Counter(getattr(held, by) for held in found)
        named = ", ".join(f"{cell(name) or '(none)'} {count}" for name, count in counts.most_common(_SHOWN_GROUPS))
        rest = len(counts) - _SHOWN_GROUPS
        typer.echo(f"  {by}: {named}{f' and {rest} more' if rest > 0 else ''}")
    if dry_run:
        typer.echo("Nothing was decided. Repeat the command with --yes to do it.")


def show_report(action: Action, report: Report) -> None:
    """What was decided, and each record about which it could not be."""
    typer.echo(f"{len(report.done)} {action}, {len(report.refused)} refused")
    for outcome in report.refused[:_SHOWN_REFUSALS]:
        typer.echo(f"  {outcome.wish.held.origin}: {outcome.objection}", err=True)
    if len(report.refused) > _SHOWN_REFUSALS:
        typer.echo(f"  and {len(report.refused) - _SHOWN_REFUSALS} more", err=True)


def _show_groups(by: str, groups: Sequence[Group]) -> None:
    from rich.table import Table

    table = Table(by, "undecided", "released", "rejected", "smallest p")
    for group in groups[:_SHOWN_GROUPS]:
        least = "" if group.smallest_p is None else f"{group.smallest_p:.3g}"
        table.add_row(cell(group.name), *map(str, (group.undecided, group.released, group.rejected)), least)
    _console().print(table)
    if len(groups) > _SHOWN_GROUPS:
        typer.echo(f"and {len(groups) - _SHOWN_GROUPS} more")


def _warnings(quarantine: Quarantine, found: Statistics) -> list[str]:
    lines = []
    if found.expiring is None:
        lines.append("It cannot be seen how long records are kept: allow DESCRIBE_CONFIGS on the quarantine topic.")
    else:
        lines += [f"{count} undecided may be gone within {name}" for name, count in found.expiring.items() if count]
    if quarantine.retention.bounded:
        lines.append("The topic is limited by size as well (retention.bytes): records may go sooner.")
    told = {
        "gone undecided, at most": found.lost,
        "records that no guard wrote (passed over)": found.foreign,
        "second deliveries (told by their origin)": found.copies,
        "origins that two different records claim: one is forged, none can be released": found.disputed,
    }
    told["decisions about records that never were here. See who may write decisions"] = found.unknown
    lines += [f"{count} {what}" for what, count in told.items() if count]
    for kind, count in found.disbelieved.items():
        lines.append(f"{count} among the decisions not believed: {kind.replace('_', ' ')}. See who may write there.")
    return lines


def _console() -> Any:
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)


def _p(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"
