"""`depois train`: a trusted snapshot in, a verified model bundle out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Column, Table

from guard.conformal import Band
from guard.spec import Task
from guard.terminal import printable
from training.allowance import allowance
from training.cli.data import open_data, open_unlabelled
from training.presets import PresetName

if TYPE_CHECKING:
    from training.job import TrainedBundle

__all__ = ["train"]

_LEFT_OUT = {
    "malformed": "malformed",
    "unknown": "of unknown labels",
    "trusted": "equal to trusted rows",
    "repeated": "repeated",
}


def train(
    source: Annotated[
        Path, typer.Argument(metavar="SNAPSHOT", help="A snapshot, or a file or image folder to make one from.")
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="BUNDLE", help="The folder to write; it must not exist.")],
    alpha: Annotated[float, typer.Option(help="Share of clean samples that may be held, in (0, 1).")] = 0.01,
    preset: Annotated[PresetName, typer.Option(help="A first look, production, or as printed.")] = "standard",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="The same seed on the same device gives the same scores.")] = 0,
    augmenter: Annotated[
        Literal["auto", "cgan", "mixup", "smote", "none"],
        typer.Option(help="What makes synthetic rows; auto keeps what wins on held-out trusted rows."),
    ] = "auto",
    name: Annotated[str, typer.Option(help="The bundle's name in verdicts.")] = "guard",
    version: Annotated[str, typer.Option(help="The bundle's version in verdicts.")] = "1",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse an α that must be extrapolated.")] = False,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Rows of the stream, poisoned or not: learn from where they lie, not from their labels.",
        ),
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="AUDIT.json", help="What an audit of SNAPSHOT found; the bundle carries it.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The label's column, where SNAPSHOT is a CSV or Parquet file.")
    ] = None,
    task: Annotated[Task | None, typer.Option(help="What the label is, where SNAPSHOT is a file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Train a model bundle from a trusted snapshot.

    Example: depois train snapshot --out bundle --alpha 0.01 --preset standard
    """
    from guard.gate import read_audit

    snapshot = open_data(source, label, task, seed)
    stream = None if unlabelled is None else open_unlabelled(unlabelled, snapshot)
    found = None if audit is None else read_audit(audit)

    # Loads torch, which takes seconds: what is wrong with the data is said before.
    from training.job import train_bundle
    from training.progress import terminal_progress

    with terminal_progress() as progress:
        trained = train_bundle(
            snapshot,
            out,
            alpha=alpha,
            preset=preset,
            device=device,
            seed=seed,
            augmenter=augmenter,
            name=name,
            version=version,
            strict=strict,
            unlabelled=stream,
            audit=found,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(_as_json(trained), ensure_ascii=False))
    else:
        _print(trained)


def _as_json(trained: TrainedBundle) -> dict[str, Any]:
    manifest = trained.manifest
    return {
        "bundle": str(trained.path),
        "digest": trained.digest,
        "alpha": {**manifest.alpha.model_dump(), "sentence": _sentence(trained)},
        "members": [member.model_dump() for member in manifest.members],
        "worth": [asdict(worth) for worth in trained.worth],
        "training": manifest.training,
    }


def _print(trained: TrainedBundle) -> None:
    console = Console(markup=False, highlight=False, emoji=False)
    console.print(_worth_table(trained))
    console.print("A self-test on trusted rows, spoilt at random: no claim about attacks.", style="dim")
    for line in _stream_lines(trained):
        console.print(line, soft_wrap=True)
    if trained.manifest.alpha.extrapolated:
        console.print("α IS EXTRAPOLATED.", style="bold")
    console.print(f"{_sentence(trained)}.", soft_wrap=True)
    if trained.manifest.audit is None:
        console.print("Nobody looked for poison in the snapshot: the bundle is marked as not audited.", soft_wrap=True)
    path = printable(str(trained.path))
    console.print(f"{path}  sha256 {trained.digest}\nReport: {path}/report.html", soft_wrap=True)
    console.print(f"Next: depois filter samples.jsonl --bundle {path} --out filtered", soft_wrap=True)


def _stream_lines(trained: TrainedBundle) -> list[str]:
    """What the unlabelled rows did for each member that can learn from them; none without such rows."""
    told: Any = trained.manifest.training.get("unlabelled")
    if told is None:
        return []
    left_out = [f"{told[name]:,} {why}" for name, why in _LEFT_OUT.items() if told[name]]
    lines = [f"Unlabelled: {told['rows']:,} of {told['records']:,} records can be learned from{_because(left_out)}."]
    for name, gain in told["members"].items():
        done = f"learned beside {gain['rows']:,} of them" if gain["kept"] else "does without them: they do not help"
        lines.append(f"  {name} {done} ({gain['measure']} {gain['without']:.3f} → {gain['beside']:.3f})")
    return lines


def _because(left_out: list[str]) -> str:
    return f"; {', '.join(left_out)}" if left_out else ""


def _worth_table(trained: TrainedBundle) -> Table:
    challenges = list(dict.fromkeys(worth.challenge for worth in trained.worth))
    columns = [
        Column(f"{challenge}\n{what}", justify="right") for challenge in challenges for what in ("AUROC", "held")
    ]
    table = Table("member", *columns)
    for member in dict.fromkeys(worth.member for worth in trained.worth):
        own = [worth for worth in trained.worth if worth.member == member]
        cells = [cell for worth in own for cell in (f"{worth.auroc:.3f}", f"{100 * worth.recall:.1f} %")]
        table.add_row(member, *cells)
    return table


def _sentence(trained: TrainedBundle) -> str:
    alpha, held_out = trained.manifest.alpha, bool(trained.manifest.training["held_out"])
    found = Band(*alpha.band, extrapolated=alpha.extrapolated)
    return allowance(alpha.value, alpha.calibration_rows, held_out=held_out, found=found)
