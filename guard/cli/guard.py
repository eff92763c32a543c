"""`depois guard`: run the guard on Kafka, or check what would keep it from running."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from guard.stream.check import Finding

__all__ = ["app", "check", "run"]

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


@app.command(epilog="Example: depois guard check --config guard.toml")
def check(
    config: _Config = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what would go wrong with a guard: brokers, credentials, topics, rights, group, bundle, clock, port.

    Changes nothing. The exit code is 1 when the guard could not run, or would lose or change records.
    """
    import logging

    from guard.stream.check import check as find
    from guard.stream.settings import load_settings

    # The clients tell of each attempt on standard error what the findings say in full.
    for client in ("kafka", "aiokafka"):
        logging.getLogger(client).addHandler(logging.NullHandler())
    found = find(load_settings(config))
    failed = any(finding.level == "error" for finding in found)
    typer.echo(_as_json(found, ready=not failed) if as_json else _in_words(found))
    if failed:
        raise typer.Exit(1)


def _as_json(found: Sequence[Finding], *, ready: bool) -> str:
    return json.dumps(
        {"ready": ready, "findings": [asdict(finding) for finding in found]}, ensure_ascii=False, indent=2
    )


def _in_words(found: Sequence[Finding]) -> str:
    lines = [f"{finding.level:<9}{finding}" for finding in found]
    count = {level: sum(finding.level == level for finding in found) for level in ("error", "warning")}
    return "\n".join([*lines, f"{count['error']} errors, {count['warning']} warnings"])
