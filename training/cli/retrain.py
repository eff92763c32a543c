"""`depois retrain`: a candidate snapshot by a written policy, with a full ledger, and a bundle from it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Column, Table

from guard.errors import InputUnreadable, WrongUse
from guard.terminal import cell, printable
from training.cli.data import open_unlabelled
from training.presets import PresetName

if TYPE_CHECKING:
    from guard.blame import Blame
    from guard.spec import InputSpec
    from training.retrain.candidate import Made
    from training.retrain.intake import Intake, Record
    from training.snapshot import Snapshot

__all__ = ["retrain"]

_LISTED = 12


def retrain(
    *,
    snapshot: Annotated[Path, typer.Option(metavar="OLD", help="The trusted snapshot; it is not changed.")],
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            "--from", metavar="DIR|FILE", help="A folder of `depois filter`, or a file of samples that passed."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="GUARD.TOML", help="Take the clean topic of this guard as well.")
    ] = None,
    evidence: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Who is accused: evidence.json of `depois filter`.")
    ] = None,
    policy: Annotated[Path, typer.Option(metavar="POLICY.TOML", help="What may join; docs/retraining.md shows one.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist.")],
    snapshot_only: Annotated[bool, typer.Option("--snapshot-only", help="Train nothing yet.")] = False,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="The label's column of a CSV or Parquet.")] = None,
    source: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that says who sent a row.")] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="A column to leave out; repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Order in which records are considered, and training.")] = 0,
    alpha: Annotated[float, typer.Option(help="Share of clean samples that may be held, in (0, 1).")] = 0.01,
    preset: Annotated[PresetName, typer.Option(help="A first look, production, or as printed.")] = "standard",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
    ] = "auto",
    augmenter: Annotated[
        Literal["auto", "cgan", "mixup", "smote", "none"],
        typer.Option(help="What makes synthetic rows; auto keeps what wins on held-out trusted rows."),
    ] = "auto",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse an α that must be extrapolated.")] = False,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rows of the stream, poisoned or not: learn from where they lie, not from their labels.",
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The bundle's name in verdicts.")] = "guard",
    version: Annotated[str, typer.Option(help="The bundle's version in verdicts.")] = "2",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Make a candidate snapshot from the trusted one and records that pass a written policy, and train a bundle on it.

    Every considered record has a line in ledger.jsonl: taken, or the rule that left it. The trusted rows stay as they
    are, and so does what is legal in a sample. Nothing is promoted: audit the candidate first.

    Example: depois retrain --snapshot snapshot --from judged --policy policy.toml --out candidate
    """
    from training.retrain.candidate import SNAPSHOT, make_candidate
    from training.retrain.policy import read_policy
    from training.snapshot import read_snapshot

    if not inputs and config is None:
        raise WrongUse("name what may join: --from DIR or FILE, or --config GUARD.TOML for a clean topic")
    if unlabelled is not None and not unlabelled.exists():
        raise InputUnreadable(f"{unlabelled} is not there; --unlabelled names a file of samples, or a folder of images")
    written, trusted = read_policy(policy), read_snapshot(snapshot)
    intake = _take_in(
        trusted.spec, inputs or [], config, evidence or [], {"label": label, "source": source}, drop or []
    )
    made = make_candidate(trusted, intake, written, out, now=time.time(), seed=seed)
    if not as_json:
        _print(made, out)
    digest = None
    if not snapshot_only:
        digest = _train(
            out,
            made.snapshot,
            unlabelled,
            alpha=alpha,
            preset=preset,
            device=device,
            seed=seed,
            augmenter=augmenter,
            strict=strict,
            name=name,
            version=version,
        )
    if as_json:
        told = {**made.card.model_dump(), "candidate": str(out), "diff": made.shift.model_dump(), "bundle": digest}
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    if digest is None:
        typer.echo(f"Later: depois train {out / SNAPSHOT} --out {out / 'bundle'}")
    typer.echo(f"Next: depois audit draw {out} --out audit")


def _take_in(
    spec: InputSpec,
    paths: list[Path],
    config: Path | None,
    evidence: list[Path],
    columns: dict[str, str | None],
    drop: list[str],
) -> Intake:
    from guard.filter.evidence import read_blame
    from guard.filter.inputs import Samples
    from training.retrain.intake import read_file, read_filtered, take_in

    inputs: list[tuple[str, Iterable[Any]]] = []
    blames = [read_blame(path)[1] for path in evidence]
    for path in paths:
        if path.is_dir():
            found, blame = read_filtered(path, spec)
            inputs += found
            blames.append(blame)
        else:
            inputs.append(read_file(path, spec, Samples(str(path), columns["label"], columns["source"], tuple(drop))))
    if config is not None:
        topic, records, evidence_there = _clean_topic(config)
        inputs.append((topic, records))
        blames += evidence_there
    return take_in(spec, inputs, blames)


def _clean_topic(config: Path) -> tuple[str, list[Record], list[Blame]]:
    from guard.stream.settings import load_settings
    from training.retrain.clean_topic import read_clean_topic

    found = read_clean_topic(load_settings(config))
    if found.strangers:
        typer.echo(f"warning: {found.name}: {found.strangers} records passed over: no guard passed them", err=True)
    if found.blame is None:
        typer.echo("warning: the guard keeps no evidence about sources (evidence.topic); it accuses nobody", err=True)
    return found.name, found.records, [found.blame] if found.blame else []


def _train(out: Path, snapshot: Snapshot, unlabelled: Path | None, **settings: Any) -> str:
    from training.job import train_bundle
    from training.progress import terminal_progress

    stream = None if unlabelled is None else open_unlabelled(unlabelled, snapshot)
    with terminal_progress() as progress:
        trained = train_bundle(snapshot, out / "bundle", unlabelled=stream, progress=progress, **settings)
    typer.echo(f"{printable(str(trained.path))}  sha256 {trained.digest}", err=True)
    return trained.digest


def _print(made: Made, out: Path) -> None:
    console = Console(markup=False, highlight=False, emoji=False)
    card, shift = made.card, made.shift
    considered = sum(card.inputs.values())
    console.print(
        f"{considered:,} records considered, {card.new_rows:,} taken beside {card.trusted_rows:,} trusted rows",
        soft_wrap=True,
    )
    _table(console, ("left", "records"), [(reason, f"{count:,}") for reason, count in card.left.items()])
    _table(
        console,
        ("class", "trusted", "considered", "taken", "share before", "after"),
        [
            (
                each.name,
                each.trusted,
                each.considered,
                each.taken,
                f"{each.share_before:.1%}",
                f"{each.share_after:.1%}",
            )
            for each in shift.groups[:_LISTED]
        ],
    )
    _table(
        console,
        ("column", "apart", "mean before", "mean of new rows"),
        [(one.name, f"{one.apart:.3f}", _mean(one.before), _mean(one.after)) for one in shift.columns[:_LISTED]],
    )
    _table(
        console,
        ("source", "considered", "taken"),
        [(one.name, one.considered, one.taken) for one in shift.sources[:_LISTED]],
    )
    for each in shift.groups:
        if each.considered and not each.taken:
            console.print(f"warning: class {cell(each.name)}: none of {each.considered} records was taken")
    console.print(f"{out}  snapshot {card.snapshot_digest}; every record is in {out / 'ledger.jsonl'}", soft_wrap=True)


def _mean(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _table(console: Console, head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    table = Table(*(Column(title, justify="left" if k == 0 else "right") for k, title in enumerate(head)))
    for row in rows:
        table.add_row(*map(cell, row))
    if table.row_count:
        console.print(table)
