"""`depois guard`: run the guard on Kafka, or check what would keep it from running."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "run"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

_Config = Annotated[
    Path | None,
    typer.Option(help="The settings; without it they come from the environment alone.", metavar="GUARD.TOML"),
]


@app.callback()
def _group() -> None:
    """The guard on Kafka: judge every record of the input topics, and write it to exactly one output."""


@app.command()
def run(config: _Config = None) -> None:
    """Judge records until SIGTERM or Ctrl-C; exit code 1 after a failure, with nothing acknowledged but undelivered.

    Example: depois guard run --config guard.toml
    """
    from guard.stream.app import GuardApp, GuardWorker
    from guard.stream.settings import load_settings

    GuardWorker(GuardApp(load_settings(config))).execute_from_commandline()
