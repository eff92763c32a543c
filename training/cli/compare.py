"""`depois compare`: champion and challenger on the same data, a rule that decides, and the gate of a promotion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from guard.errors import WrongUse
from guard.folder import require_free
from guard.terminal import cell
from training.cli.data import open_data

if TYPE_CHECKING:
    from guard.gate import Comparison, Gate
    from training.retrain.policy import Policy

__all__ = ["compare"]

_EXIT_REFUSED = 3


def compare(
    champion: Annotated[Path, typer.Argument(metavar="CHAMPION", help="The bundle that serves now.")],
    challenger: Annotated[Path, typer.Argument(metavar="CHALLENGER", help="The bundle that wants its place.")],
    *,
    trusted: Annotated[
        Path, typer.Option(metavar="HELDOUT", help="Trusted rows that trained neither: a snapshot, file or folder.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist.")],
    canaries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Samples known to be bad, as JSON Lines.")
    ] = None,
    recent: Annotated[Path | None, typer.Option(metavar="FILE", help="Recent traffic, as JSON Lines.")] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="POLICY.TOML", help="The rule that decides; else the default one.")
    ] = None,
    gate: Annotated[Path | None, typer.Option(metavar="GATE.JSON", help="Write the gate of a promotion here.")] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="AUDIT.JSON", help="With --gate: what `depois audit bound` wrote.")
    ] = None,
    snapshots: Annotated[
        list[Path] | None,
        typer.Option("--snapshot", metavar="DIR", help="What a bundle was trained on, to see overlap; repeatable."),
    ] = None,
    attacks: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Which attacks; all that apply when not given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same attacks.")] = 0,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The label's column, where HELDOUT is a CSV or Parquet file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Judge the same held-out rows, attacks, known bad samples and recent traffic with both, and decide by a rule.

    Writes comparison.json, figures.json and comparison.html. Ends with 3 where the challenger does not pass.

    Example: depois compare current candidate/bundle --trusted held-out.csv --label price_band --out compared
    """
    from guard.bundle import load_bundle
    from guard.gate import close_gate, read_audit, write_gate
    from training.progress import terminal_progress
    from training.redteam.battery import choose_attacks
    from training.retrain.comparison import write_comparison
    from training.retrain.held_out import hold_out, training_snapshots
    from training.retrain.measures import measure
    from training.retrain.rule import decide

    _refuse_early(out, gate, audit, [path for path in (canaries, recent) if path is not None])
    checked = None if audit is None else read_audit(audit)
    written = _policy(policy)
    pair = (load_bundle(champion, threads=1), load_bundle(challenger, threads=1))
    task = None if (trusted / "snapshot.json").exists() else pair[0].manifest.spec.task
    rows = open_data(trusted, label, task, seed)
    trained_on = training_snapshots(zip((champion, challenger), pair, strict=True), snapshots or ())
    held_out = hold_out(pair, rows, trained_on)
    names = choose_attacks(pair[0].manifest.spec, attacks.split(",") if attacks is not None else None)
    with terminal_progress() as progress:
        measured = measure(pair, held_out, names, canaries, recent, seed, progress)
    found = decide(pair, measured, written.promotion)
    write_comparison(pair, measured, found, written.promotion, checked, out)
    closed = None
    if gate is not None:
        digests = (pair[1].digest, pair[1].manifest.snapshot_digest)
        closed = close_gate(*digests, audit=checked, comparison=found, limits=written.audit)
        write_gate(gate, closed)
    if as_json:
        typer.echo(json.dumps({"comparison": found.model_dump(), "gate": closed and closed.model_dump()}))
    else:
        if not held_out.fully_known:
            typer.echo("warning: not all training rows are known here; name snapshots with --snapshot", err=True)
        _show(found, closed, out)
    if not (found if closed is None else closed).passed:
        raise typer.Exit(_EXIT_REFUSED)


def _refuse_early(out: Path, gate: Path | None, audit: Path | None, lines: list[Path]) -> None:
    """What can be known before minutes of attacks."""
    from guard.filter.inputs import Samples

    require_free(out)
    if audit is not None and gate is None:
        raise WrongUse("--audit goes into a gate; name one with --gate GATE.json")
    for path in lines:
        if not Samples(str(path)).is_file():
            raise WrongUse(f"{path} cannot be read twice; name a file of JSON Lines")


def _policy(path: Path | None) -> Policy:
    from training.retrain.policy import Policy, read_policy

    return Policy() if path is None else read_policy(path).policy


def _show(found: Comparison, gate: Gate | None, out: Path) -> None:
    table = Table("figure", "champion", "challenger", "")
    for column in table.columns[1:3]:
        column.justify = "right"
    for figure in found.figures:
        values = ["–" if value is None else f"{value:.4g}" for value in (figure.champion, figure.challenger)]
        table.add_row(cell(figure.name), *values, "" if figure.outcome == "same" else figure.outcome)
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(table)
    judged = found if gate is None else gate
    console.print("The challenger passes." if judged.passed else "The challenger does not pass:")
    for reason in judged.reasons:
        console.print(f"  {reason}", soft_wrap=True)
    console.print(f"Everything that was measured: {out / 'comparison.html'}", soft_wrap=True)
