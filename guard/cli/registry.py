"""`depois promote`, `depois rollback` and `depois registry`: what serves, and how it came about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guard.terminal import cell, printable

if TYPE_CHECKING:
    from guard.registry.history import Entry, History
    from guard.registry.registry import Registry, Shelved

__all__ = ["app", "history", "list_versions", "promote", "rollback"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

_Folder = Annotated[Path, typer.Option("--registry", metavar="DIR", help="The folder of the registry.")]
_By = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; else the user of this machine.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def _group() -> None:
    """Versions of a bundle, and every change of what serves. `depois promote` and `depois rollback` change it."""


def promote(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle that is to serve.")],
    *,
    folder: _Folder,
    gate: Annotated[Path | None, typer.Option(metavar="GATE.json", help="The gate that it passed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="In spite of its gate; the history keeps that.")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; must be given with --force.")] = None,
    by: _By = None,
    as_json: _AsJson = False,
) -> None:
    """Let a bundle serve that passed its gate: copy it into the registry and switch `current` to it, in one step.

    Example: depois promote candidate --registry registry --gate gate.json
    """
    from guard.registry.registry import Registry
    from guard.review.opening import machine_user

    registry = Registry.made(folder)
    entry = registry.promote(bundle, gate, by=by or machine_user("--by"), why=reason, force=force)
    _tell(registry, folder, entry, as_json=as_json)


def rollback(
    *,
    folder: _Folder,
    to: Annotated[str | None, typer.Option(metavar="VERSION", help="Which; else the one that served before.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever reads the history.")] = None,
    by: _By = None,
    as_json: _AsJson = False,
) -> None:
    """Let the version serve again that served before the current one was promoted, or another one that did.

    Example: depois rollback --registry registry --reason 'holds every tenth sample'
    """
    from guard.registry.registry import Registry
    from guard.review.opening import machine_user

    registry = Registry.open(folder)
    entry = registry.rollback(to, by=by or machine_user("--by"), why=reason)
    _tell(registry, folder, entry, as_json=as_json)


@app.command(name="list", epilog="Example: depois registry list --registry registry")
def list_versions(*, folder: _Folder, as_json: _AsJson = False) -> None:
    """List the versions that are there, each verified by its hashes, and which one serves."""
    from guard.registry.registry import Registry

    registry = Registry.open(folder)
    current, found = registry.current(), registry.versions()
    if as_json:
        typer.echo(_json({"current": current, "versions": [_version_json(each) for each in found]}))
        return
    if not found:
        typer.echo(f"{printable(str(folder))} holds no version yet; `depois promote` puts the first one there.")
        return
    titles = ("version", "serves", "sha256", "α", "snapshot", "poison at most", "promoted", "by", "state")
    _print_table(titles, [_version_row(each) for each in found])


@app.command(epilog="Example: depois registry history --registry registry")
def history(*, folder: _Folder, as_json: _AsJson = False) -> None:
    """Show every change of what serves, oldest first: who, when, from what, to what, why, and whether forced."""
    from guard.registry.registry import Registry

    found = Registry.open(folder).history()
    if as_json:
        entries = [entry.model_dump(mode="json") for entry in found.entries]
        typer.echo(_json({"entries": entries, "unreadable": found.unreadable}))
        return
    titles = ("no.", "time", "what", "from", "to", "by", "why")
    _print_table(titles, [_entry_row(entry) for entry in found.entries])
    for line in _remarks(found):
        typer.echo(line)


def _tell(registry: Registry, folder: Path, entry: Entry | None, *, as_json: bool) -> None:
    current = registry.current()
    if as_json:
        typer.echo(_json({"current": current, "entry": None if entry is None else entry.model_dump(mode="json")}))
    elif entry is None:
        typer.echo(f"Version {current} serves already; nothing was changed.")
    else:
        instead = f" in place of {entry.from_version}" if entry.from_version else ""
        typer.echo(f"Version {entry.to_version} serves from now on{instead}, sha256 {entry.digest}.")
        for objection in entry.objections:
            typer.echo(f"  forced in spite of this: {objection}")
        typer.echo(f"Guards with model.bundle = {printable(str(folder))}/current take it within model.reload_seconds.")


def _version_json(each: Shelved) -> dict[str, Any]:
    manifest = each.manifest
    audit = None if manifest is None or manifest.audit is None else manifest.audit.model_dump(mode="json")
    return {
        "version": each.version,
        "current": each.current,
        "digest": each.digest,
        "alpha": None if manifest is None else manifest.alpha.value,
        "snapshot_digest": None if manifest is None else manifest.snapshot_digest,
        "audit": audit,
        "promotion": None if each.promotion is None else each.promotion.model_dump(mode="json"),
        "fault": each.fault,
    }


def _version_row(each: Shelved) -> tuple[str, ...]:
    manifest, promotion = each.manifest, each.promotion
    told = ("", "", "", "")
    if manifest is not None and each.digest is not None:
        bound = "NOT AUDITED" if manifest.audit is None else f"{manifest.audit.upper_bound:.3%}"
        told = (each.digest[:12], f"{manifest.alpha.value:g}", manifest.snapshot_digest[:12], bound)
    promoted = ("never", "") if promotion is None else (promotion.time, promotion.by)
    state = each.fault or ("forced" if promotion is not None and promotion.forced else "sound")
    return (each.version, "yes" if each.current else "", *told, *promoted, state)


def _entry_row(entry: Entry) -> tuple[str, ...]:
    what = f"{entry.change.replace('_', ' ')}{', FORCED' if entry.forced else ''}"
    why = "; ".join([entry.why, *(f"in spite of: {objection}" for objection in entry.objections)])
    versions = (entry.from_version or "", entry.to_version or "")
    return (str(entry.number), entry.time, what, *versions, entry.by, why)


def _remarks(found: History) -> list[str]:
    """What a reader of the table would not see."""
    from itertools import pairwise

    from guard.rfc3339 import seconds_of

    lines = []
    for before, after in pairwise(found.entries):
        if seconds_of(after.time) < seconds_of(before.time):
            lines.append(
                f"The clock of no. {after.number} is behind that of no. {before.number}; the order is that here."
            )
    if found.unreadable:
        lines.append(f"{found.unreadable} lines are no entries: a kill cut them off, or somebody wrote there.")
    return lines


def _print_table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(*(Column(title, overflow="fold") for title in titles))
    for row in rows:
        table.add_row(*map(cell, row))
    Console(markup=False, highlight=False, emoji=False).print(table)


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)
