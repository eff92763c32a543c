"""`depois quarantine`: look through what is held, and decide about it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from guard.cli.filter_options import with_filter
from guard.cli.shared_options import filled_from
from guard.errors import WrongUse
from guard.review.decision import Action
from guard.review.filters import Filter
from guard.review.held import Held
from guard.review.quarantine import Quarantine
from guard.review.queue import Order

__all__ = ["app", "export", "list_held", "reject", "release", "reopen", "show", "stats"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

_EXIT_REFUSED = 3

_Config = Annotated[
    Path | None, typer.Option(help="The guard on Kafka, by its settings; else the environment's.", metavar="GUARD.TOML")
]
_Folder = Annotated[
    Path | None, typer.Option(help="Instead of Kafka: a folder that `depois filter` wrote.", metavar="DIR")
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Why = Annotated[str, typer.Option(help="The reason, for whoever reads the decision later.", metavar="TEXT")]
_Reviewer = Annotated[
    str | None, typer.Option(help="Who decides; else the Kafka user, else the user of this machine.", metavar="NAME")
]
_Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what would be done.")]


@dataclass(frozen=True)
class _Asked:
    """What a decision is to be about, beside a filter; by whom, why, and how carefully."""

    origins: list[str]
    config: Path | None
    folder: Path | None
    why: str
    reviewer: str | None
    yes: bool
    rate: float | None
    most: int
    everything: bool


def _asked(
    *,
    origins: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ORIGIN]...", help="Records by guard-origin, with or without the cluster; else the options choose."
        ),
    ] = None,
    config: _Config = None,
    folder: _Folder = None,
    why: _Why,
    reviewer: _Reviewer = None,
    yes: _Yes = False,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Decisions per second, at most.")] = None,
    most: Annotated[int, typer.Option("--max", min=1, help="Refuse to decide about more than this at once.")] = 1000,
    everything: Annotated[
        bool, typer.Option("--all", help="Take all undecided records, where nothing else chooses.")
    ] = False,
) -> _Asked:
    return _Asked(origins or [], config, folder, why, reviewer, yes, rate, most, everything)


_with_decision = filled_from("asked", _asked)


@app.callback()
def _group() -> None:
    """Held records: list, show and count them; release them to the clean output, or reject them. Each exactly once."""


@app.command(name="list", epilog="Example: depois quarantine list --config guard.toml --source mallory --max-p 0.001")
@with_filter
def list_held(
    *,
    config: _Config = None,
    folder: _Folder = None,
    limit: Annotated[int, typer.Option(min=0, help="How many; 0: all.")] = 20,
    order: Annotated[Order, typer.Option(help="Smallest p-value first, or as they came.")] = "suspicion",
    as_json: _AsJson = False,
    chosen: Filter,
) -> None:
    """List held records."""
    from guard.cli.quarantine_tables import show_list
    from guard.review.listing import as_row
    from guard.review.opening import with_quarantine

    async def work(quarantine: Quarantine) -> None:
        found = _chosen(quarantine, [], chosen, order)
        shown = found[:limit] if limit else found
        if as_json:
            for held in shown:
                typer.echo(json.dumps(as_row(quarantine, held), ensure_ascii=False))
        else:
            show_list(quarantine, shown, len(found))

    with_quarantine(config, folder, work)


@app.command(epilog="Example: depois quarantine show samples/0/41 --config guard.toml --bundle bundle")
def show(
    origin: Annotated[str, typer.Argument(help="The record's guard-origin, with or without the cluster.")],
    *,
    config: _Config = None,
    folder: _Folder = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", help="Say also what each member says, and what lies near.")
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Show one held record, why it is held, and every decision about it."""
    from guard.cli.quarantine_tables import show_record
    from guard.review.listing import as_row
    from guard.review.opening import with_quarantine

    async def work(quarantine: Quarantine) -> None:
        (held,) = _by_origin(quarantine, [origin])
        (record,) = await quarantine.records([held])
        if as_json:
            value = None if record is None else record.value.decode(errors="backslashreplace")
            typer.echo(json.dumps({**as_row(quarantine, held), "value": value}, ensure_ascii=False, indent=2))
        else:
            show_record(quarantine, held, record, bundle)

    with_quarantine(config, folder, work)


@app.command(epilog="Example: depois quarantine stats --folder judged")
@with_filter
def stats(*, config: _Config = None, folder: _Folder = None, as_json: _AsJson = False, chosen: Filter) -> None:
    """Count held records by state, reason, member, source, label and model, and those that may soon be deleted."""
    from guard.cli.quarantine_tables import show_statistics
    from guard.review.opening import with_quarantine
    from guard.review.statistics import statistics

    if chosen.state not in ("undecided", "all"):
        raise WrongUse("stats counts every state in a column of its own; leave --state out")

    async def work(quarantine: Quarantine) -> None:
        found = statistics(quarantine, chosen, time.time())
        if as_json:
            typer.echo(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        else:
            show_statistics(quarantine, found)

    with_quarantine(config, folder, work)


@app.command(epilog="Example: depois quarantine release --config guard.toml --source alice --why 'new camera' --yes")
@with_filter
@_with_decision
def release(*, asked: _Asked, chosen: Filter) -> None:
    """Write held records to the clean output as they once came. Final. Without --yes, only says what would be done."""
    _decide(Action.RELEASED, asked, chosen)


@app.command(epilog="Example: depois quarantine reject --folder judged --max-p 0.0001 --why 'flipped labels' --yes")
@with_filter
@_with_decision
def reject(*, asked: _Asked, chosen: Filter) -> None:
    """Mark held records as rejected; `reopen` takes that back. Without --yes, only says what would be done."""
    _decide(Action.REJECTED, asked, chosen)


@app.command(epilog="Example: depois quarantine reopen samples/0/41 --config guard.toml --why 'slip' --yes")
def reopen(
    origins: Annotated[
        list[str],
        typer.Argument(metavar="ORIGIN...", help="Rejected records by guard-origin, with or without the cluster."),
    ],
    *,
    config: _Config = None,
    folder: _Folder = None,
    why: _Why,
    reviewer: _Reviewer = None,
    yes: _Yes = False,
) -> None:
    """Take rejections back: the records are undecided again."""
    asked = _Asked(origins, config, folder, why, reviewer, yes, rate=None, most=len(origins), everything=False)
    _decide(Action.REOPENED, asked, Filter())


@app.command(epilog="Example: depois quarantine export --config guard.toml --state rejected --out known-bad.jsonl")
@with_filter
def export(
    *,
    config: _Config = None,
    folder: _Folder = None,
    out: Annotated[str, typer.Option(help="A new file, or - for standard output.", metavar="FILE")] = "-",
    chosen: Filter,
) -> None:
    """Write the samples themselves, one a line, as `depois explain`, `filter` and `snapshot` read them."""
    from guard.cli.dedupe import open_output
    from guard.review.batch import BATCH
    from guard.review.opening import with_quarantine
    from guard.stream.export import one_line

    async def work(quarantine: Quarantine) -> None:
        found = _chosen(quarantine, [], chosen)
        gone = 0
        with open_output(out) as write:
            for first in range(0, len(found), BATCH):
                for record in await quarantine.records(found[first : first + BATCH]):
                    if record is None:
                        gone += 1
                    else:
                        write(one_line(record.value))
        typer.echo(f"{len(found) - gone} samples written, {gone} gone since they were listed", err=True)

    with_quarantine(config, folder, work)


def _decide(action: Action, asked: _Asked, chosen: Filter) -> None:
    from guard.cli.quarantine_tables import show_plan, show_report
    from guard.review.batch import decide
    from guard.review.decision import checked_words
    from guard.review.opening import reviewer_name, with_quarantine

    if not asked.origins and not chosen.narrows and not asked.everything:
        raise WrongUse("name records, or choose them by options such as --source; --all takes everything undecided")
    reviewer, why = checked_words(reviewer_name(asked.reviewer, asked.config, asked.folder), asked.why)

    async def work(quarantine: Quarantine) -> None:
        found = _chosen(quarantine, asked.origins, chosen)
        if len(found) > asked.most:
            raise WrongUse(f"{len(found)} records are chosen; narrow the choice, or allow them with --max {len(found)}")
        show_plan(action, found, reviewer, why, dry_run=not asked.yes)
        if asked.yes and found:
            report = await decide(
                quarantine, found, action, reviewer=reviewer, why=why, rate=asked.rate, progress=_progress
            )
            show_report(action, report)
            if report.refused:
                raise typer.Exit(_EXIT_REFUSED)

    with_quarantine(asked.config, asked.folder, work)


def _progress(behind: int) -> None:
    typer.echo(f"{behind} decided", err=True)


def _chosen(quarantine: Quarantine, origins: list[str], chosen: Filter, order: Order = "arrival") -> list[Held]:
    if origins:
        return _by_origin(quarantine, origins)
    if chosen.expiring is not None and not quarantine.retention.known:
        raise WrongUse(
            "--expiring: this user may not see how long records are kept; allow DESCRIBE_CONFIGS on the topic"
        )
    before = quarantine.retention.expire_before(chosen.expiring or 0.0, time.time())
    queue = quarantine.desk.queue
    return queue.take(queue.find(chosen, order, expire_before=before))


def _by_origin(quarantine: Quarantine, origins: list[str]) -> list[Held]:
    found = [_held(quarantine, origin) for origin in dict.fromkeys(origins)]
    missing = [origin for origin, held in zip(dict.fromkeys(origins), found, strict=True) if held is None]
    if missing:
        latest = quarantine.desk.ledger.latest(missing[0])
        told = f"; it was {latest.action} by {latest.reviewer} at {latest.time}" if latest else ""
        raise WrongUse(
            f"{quarantine.title} does not hold {missing[0]}{told}. Either it never did, or it has expired; "
            "`depois quarantine list --state all` shows what is there."
        )
    return [held for held in found if held is not None]


def _held(quarantine: Quarantine, origin: str) -> Held | None:
    """The record of that origin, or the only one that has it but for the cluster, as `list` shows it."""
    queue = quarantine.desk.queue
    if (exact := queue.get(origin)) is not None:
        return exact
    found = [held for held in queue if held.origin.partition("/")[2] == origin]
    if len(found) > 1:
        raise WrongUse(f"{len(found)} records of different clusters are {origin}; write the whole guard-origin")
    return found[0] if found else None
