"""The options that choose held records, written once for every command that takes them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

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


def with_filter(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, whose parameter `chosen` is filled from the options above."""
    own, shared = inspect.signature(command), inspect.signature(_options)
    names = set(shared.parameters)

    def run(**arguments: Any) -> None:
        chosen = _options(**{name: value for name, value in arguments.items() if name in names})
        command(chosen=chosen, **{name: value for name, value in arguments.items() if name not in names})

    kept = [parameter for name, parameter in own.parameters.items() if name != "chosen"]
    hints = {**get_type_hints(_options, include_extras=True), **get_type_hints(command, include_extras=True)}
    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in (*kept, *shared.parameters.values())
    ]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run
