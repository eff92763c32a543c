"""`depois topics`: make the topics of a guard."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guard.errors import GuardError

if TYPE_CHECKING:
    from guard.stream.topics import TopicOutcome

__all__ = ["app", "create"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _group() -> None:
    """Make the input, clean, quarantine, dead letter and decisions topics of a guard."""


@app.command(epilog="Example: depois topics create --config guard.toml --partitions 6 --replicas 3")
def create(
    *,
    config: Annotated[
        Path | None, typer.Option(help="The guard's settings; else the environment's.", metavar="GUARD.TOML")
    ] = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, help="Partitions of each topic; else as many as the input has, or 1.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="Replicas of each partition; else as many as the input has, or 1.")
    ] = None,
    retention_days: Annotated[
        float | None, typer.Option(min=0.001, help="How long records are kept; else as long as the input's, or 7.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make the topics that are missing and say in what the others differ; change none of those.

    Quarantine and dead letters are kept for 30 days at least, decisions for ever. Needs an administrator's credentials:
    a guard's own must not suffice. The exit code is 1 when a topic that is there is not as it should be.
    """
    import logging

    from kafka.errors import KafkaError

    from guard.stream.brokers import open_admin
    from guard.stream.security import connection
    from guard.stream.settings import load_settings
    from guard.stream.topics import create_topics, topic_facts, wanted_topics

    logging.getLogger("kafka").addHandler(logging.NullHandler())  # what it tells stands in the error
    settings = load_settings(config)
    try:
        with open_admin(connection(settings.kafka)) as admin:
            inputs = topic_facts(admin, settings.topics.input)
            wanted = wanted_topics(
                settings, inputs, partitions=partitions, replicas=replicas, retention_days=retention_days
            )
            outcomes = create_topics(admin, wanted, dry_run=dry_run)
    except KafkaError as error:
        raise GuardError(f"the brokers refuse: {error}") from error
    typer.echo(_as_json(outcomes, dry_run=dry_run) if as_json else _in_words(outcomes, dry_run=dry_run))
    if any(outcome.differs for outcome in outcomes):
        raise typer.Exit(1)


def _as_json(outcomes: Sequence[TopicOutcome], *, dry_run: bool) -> str:
    return json.dumps({"dry_run": dry_run, "topics": [asdict(outcome) for outcome in outcomes]}, indent=2)


def _in_words(outcomes: Sequence[TopicOutcome], *, dry_run: bool) -> str:
    made = "would be created" if dry_run else "created"
    lines = []
    for outcome in outcomes:
        lines.append(f"{outcome.name}: {made if outcome.what == 'created' else 'is there'}")
        lines += [f"  differs: {difference}" for difference in outcome.differs]
    return "\n".join(lines)
