"""The options that choose held records, written once for every command that takes them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from guard.cli.shared_options import filled_from
from guard.review.filters import Filter, State, parse_duration, parse_time

__all__ = ["with_filter"]


def _options(
    *,
    reason: Annotated[
        str | None, typer.Option(help="Why it is held: suspect, unknown_label, not_scored.", rich_help_panel="Which")
    ] = None,
    member: Annotated[str | None, typer.Option(help="The member that fired.", rich_help_panel="Which")] = None,
    source: Annotated[str | None, typer.Option(help="Who contributed it.", rich_help_panel="Which")] = None,
    label: Annotated[str | None, typer.Option(help="The label that it claims.", rich_help_panel="Which")] = None,
    suggested: Annotated[
        str | None, typer.Option(help="The label that the trusted data speak for.", rich_help_panel="Which")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The bundle that judged, name:version.", rich_help_panel="Which")
    ] = None,
    min_p: Annotated[float | None, typer.Option(help="p-value from here.", rich_help_panel="Which")] = None,
    max_p: Annotated[float | None, typer.Option(help="p-value up to here.", rich_help_panel="Which")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Judged since: 2026-01-31T09:30:00Z, or 3d ago.", metavar="TIME", rich_help_panel="Which"),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Judged until.", metavar="TIME", rich_help_panel="Which")] = None,
    expiring: Annotated[
        str | None,
        typer.Option(help="May be deleted within so long: 12h, 3d.", metavar="DURATION", rich_help_panel="Which"),
    ] = None,
    state: Annotated[State, typer.Option(help="What was decided.", rich_help_panel="Which")] = "undecided",
) -> Filter:
    now = time.time()
    return Filter(
        reason=reason,
        member=member,
        source=source,
        label=label,
        suggested=suggested,
        model=model,
        min_p=min_p,
        max_p=max_p,
        since=None if since is None else parse_time(since, now),
        until=None if until is None else parse_time(until, now),
        expiring=None if expiring is None else parse_duration(expiring),
        state=state,
    )


with_filter = filled_from("chosen", _options)
"""Decorates commands whose parameter `chosen` is filled from the options above."""
