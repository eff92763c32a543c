"""`depois dedupe`: a topic of the guard, or an export of one, with each origin once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.errors import InputUnreadable, OutputFailed, WrongUse

if TYPE_CHECKING:
    from guard.stream.export import Counts

__all__ = ["dedupe", "open_output"]

_EXIT_REJECTED = 3


def dedupe(
    export: Annotated[
        str | None, typer.Argument(metavar="[EXPORT]", help="JSON Lines of `kcat -J`, or - for a pipe.")
    ] = None,
    *,
    out: Annotated[str, typer.Option(help="A new file, or - for standard output.", metavar="FILE")] = "-",
    topic: Annotated[
        str | None, typer.Option(help="Read this topic instead, from its beginning to its end.", metavar="NAME")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="With --topic: the settings; else the environment's.", metavar="GUARD.TOML")
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Write the samples alone, as `depois filter` reads them.")
    ] = False,
) -> None:
    """Write each record of a guard's topic once, told by its guard-origin.

    A guard that was killed leaves copies: delivery is at least once. Which copies there were is said on standard error.
    The exit code is 0, or 3 when lines of the export could not be read.

    Example: depois dedupe --config guard.toml --topic samples.clean --values --out clean.jsonl
    """
    if (export is None) == (topic is None):
        raise WrongUse("name either an export or a topic: `depois dedupe export.jsonl`, or --topic NAME")
    with open_output(out) as write:
        counts = _from_file(str(export), write, values) if topic is None else _from_topic(topic, config, write, values)
    kept = f"{counts.without_origin} without guard-origin kept"
    told = f"{counts.records} records, {counts.copies} copies left out, {kept}, {counts.unreadable} lines unreadable"
    typer.echo(told, err=True)
    if counts.unreadable:
        raise typer.Exit(_EXIT_REJECTED)


def _from_file(export: str, write: Callable[[bytes], object], values: bool) -> Counts:  # noqa: FBT001 – as given
    from guard.stream.export import export_lines

    return export_lines(_lines(export), write, values=values)


def _lines(export: str) -> Iterator[bytes]:
    try:
        with nullcontext(sys.stdin.buffer) if export == "-" else Path(export).open("rb") as lines:
            yield from lines
    except OSError as error:
        raise InputUnreadable(f"{export} cannot be read: {error.strerror}. Name a file of JSON Lines.") from error


def _from_topic(topic: str, config: Path | None, write: Callable[[bytes], object], values: bool) -> Counts:  # noqa: FBT001 – as given
    import asyncio

    from guard.stream.export import export_topic
    from guard.stream.security import connection
    from guard.stream.settings import load_settings

    return asyncio.run(export_topic(connection(load_settings(config).kafka), topic, write, values=values))


@contextmanager
def open_output(out: str) -> Iterator[Callable[[bytes], object]]:
    """A new file, or standard output for -. Raises OutputFailed."""
    if out == "-":
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    try:
        with Path(out).open("xb") as file:
            yield file.write
    except OSError as error:
        raise OutputFailed(
            f"{out} cannot be written: {error.strerror}. Name a new file where there is room."
        ) from error
