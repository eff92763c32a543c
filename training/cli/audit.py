"""`depois audit`: a random sample of a candidate to be checked by a person, and the bound on its poison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "bound", "draw"]

app = typer.Typer(
    help="Draw a sample of a candidate snapshot to be checked; bound its poison by what was decided.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_EXIT_MISSED = 3
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command(epilog="Example: depois audit draw candidate --out audit")
def draw(
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="A folder that `depois retrain` wrote.")],
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it must not exist.")],
    size: Annotated[
        int | None, typer.Option(min=1, help="How many rows; else what the policy's limit needs when none is poison.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Draw new rows at random into a folder that `depois review` and `depois quarantine` open.

    Release is clean, reject is poison. The same candidate always draws the same rows, and in one size only.
    """
    from training.retrain.audit import draw_audit, rows_for

    found = draw_audit(candidate, out, size)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    needed = ", ".join(f"{rows_for(found.poison_share, found.confidence, bad)} with {bad}" for bad in range(4))
    typer.echo(
        f"{found.drawn} of {found.new_rows} new rows drawn, beside {found.trusted_rows} trusted ones that are not."
    )
    typer.echo(f"Rows that a bound of {found.poison_share:.2%} needs, by how many are poison: {needed}.")
    typer.echo(f"Check them: depois review --folder {out}, or depois quarantine list --folder {out}")
    typer.echo(f"Then: depois audit bound {out} --out audit.json")


@app.command(epilog="Example: depois audit bound audit --out audit.json")
def bound(
    sample: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that `depois audit draw` wrote.")],
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the bound here, for `depois compare`.")
    ] = None,
    candidate: Annotated[
        Path | None, typer.Option(metavar="CANDIDATE", help="Where the candidate lies now, if it was moved.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Bound the share of poison among the new rows by what reviewers decided about the sample.

    Ends with 3 where the bound is above the policy's limit.
    """
    from guard.whole_file import write_whole
    from training.retrain.audit import bound_audit

    found = bound_audit(sample, candidate)
    text = found.bound.model_dump_json(indent=2)
    if out is not None:
        write_whole(out, text.encode() + b"\n")
    if as_json:
        typer.echo(text)
    else:
        said = found.bound
        typer.echo(
            f"{said.poison} of {said.drawn} rows poison, {said.undecided} undecided, by {', '.join(said.reviewers)}: "
            f"at most {said.upper_bound:.2%} of the {said.rows} new rows are, at {said.confidence:.0%} confidence."
        )
        typer.echo(f"Of all rows at most {found.whole:.2%}, if the {found.draw.trusted_rows} trusted ones are clean.")
        typer.echo(f"The policy allows {found.limit:.2%}: {'met' if found.met else 'missed'}.")
    if not found.met:
        raise typer.Exit(_EXIT_MISSED)
