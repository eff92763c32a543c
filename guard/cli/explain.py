"""`depois explain`: why one sample is judged as it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from guard.calibration import BoundaryRule
from guard.decode import record_limit
from guard.errors import InputUnreadable, OutputFailed, WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from guard.bundle import Bundle
    from guard.explain import Explanation

__all__ = ["explain", "show_explanation"]

_EXIT_REJECTED = 3


def explain(
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="A .jsonl file, or - for standard input.")],
    *,
    bundle: Annotated[Path, typer.Option(metavar="BUNDLE", help="The model bundle.")],
    line: Annotated[
        int | None, typer.Option(min=1, help="Which line of SAMPLE, from 1; not needed for one line.")
    ] = None,
    neighbours: Annotated[int, typer.Option(min=0, max=50, help="How many trusted samples to show.")] = 5,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Write image and neighbours here.")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Share of clean samples that may be held; else the bundle's.")
    ] = None,
    boundary: Annotated[
        BoundaryRule | None, typer.Option(help="zscore: the paper's boundary on the mimic alone.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help="Refuse any bundle but this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show one sample's p-value per member, the fused verdict, and its nearest trusted neighbours.

    Ends with 0, or with 3 when the sample is malformed.

    Example: depois explain filtered/quarantine.jsonl --line 3 --bundle bundle
    """
    from guard.bundle import load_bundle
    from guard.explain import explain_record

    model = load_bundle(bundle, alpha=alpha, boundary=boundary, sha256=sha256)
    record = _read_line(sample, line, record_limit(model.manifest.spec))
    found = explain_record(model, record, neighbours)
    if picture is not None:
        _write_picture(found, picture)
    if as_json:
        typer.echo(json.dumps(_as_json(found, model), ensure_ascii=False, indent=2))
    else:
        show_explanation(found, model)
    if found.verdict.status == "malformed":
        raise typer.Exit(_EXIT_REJECTED)


def _read_line(sample: str, line: int | None, limit: int) -> bytes:
    if sample == "-":
        return _pick(sys.stdin.buffer, "standard input", line, limit)
    try:
        with Path(sample).open("rb") as file:
            return _pick(file, sample, line, limit)
    except OSError as error:
        raise InputUnreadable(f"{sample}: it cannot be read ({error.strerror}); name a file of samples") from error


def _pick(file: IO[bytes], name: str, line: int | None, limit: int) -> bytes:
    """Line number `line`; without a number, the only line. A line of more than `limit` bytes is cut short."""
    if line is not None:
        found = next(islice(_lines(file, limit), line - 1, None), None)
        if found is None:
            raise InputUnreadable(f"{name}: it has fewer than {line} lines; name another with --line")
        return found
    lines = list(islice((each for each in _lines(file, limit) if each.strip()), 2))
    if not lines:
        raise InputUnreadable(f"{name}: it is empty; give it one sample per line")
    if len(lines) > 1:
        raise WrongUse(f"{name}: it has several lines; name one with --line")
    return lines[0]


def _lines(file: IO[bytes], limit: int) -> Iterator[bytes]:
    with_end = limit + 2
    while piece := file.readline(with_end):
        rest = piece
        while len(rest) == with_end and not rest.endswith(b"\n"):
            rest = file.readline(with_end)
        yield piece.rstrip(b"\r\n") if piece.endswith(b"\n") else piece


def _as_json(found: Explanation, bundle: Bundle) -> dict[str, Any]:
    import msgspec

    return {
        "verdict": msgspec.to_builtins(found.verdict),
        "suggested_label": found.suggested_label,
        "members": [
            {"name": m.name, "score": m.score, "p_value": m.p_value, "weight": m.weight, "fired": m.fired}
            for m in found.members
        ],
        "neighbours": [{"distance": n.distance, "label": n.label, "origin": n.origin} for n in found.neighbours],
        "model": f"{bundle.manifest.name}:{bundle.manifest.version}",
        "model_sha256": bundle.digest,
    }


def show_explanation(found: Explanation, bundle: Bundle) -> None:
    """Print verdict, picture, members and neighbours; what a sample says is hostile and made printable."""
    from rich.console import Console

    from guard.picture import blocks
    from guard.spec import ImageInput

    console = Console(markup=False, highlight=False, emoji=False)
    console.print(_sentence(found), soft_wrap=True)
    if found.x is not None and isinstance(bundle.manifest.spec.input, ImageInput) and console.is_terminal:
        console.print(blocks(found.x))
    _show_members(console, found)
    _show_neighbours(console, found)


def _sentence(found: Explanation) -> str:
    from guard.terminal import cell

    verdict = found.verdict
    parts = [str(verdict.status), verdict.reason and f"({verdict.reason})", verdict.detail]
    if verdict.p_value is not None:
        parts.append(f"p = {verdict.p_value:.4g} against α = {verdict.threshold:.4g};")
        parts.append(f"label {verdict.label}, the trusted data speak for {found.suggested_label}")
    if verdict.reason == "unknown_label":
        parts.append(f"the trusted snapshot never held the label {verdict.label}")
    return " ".join(cell(part) for part in parts if part)


def _show_members(console: Console, found: Explanation) -> None:
    from rich.table import Table

    from guard.terminal import cell

    if found.members:
        table = Table("member", "score", "p alone", "weight", "spoke loudest", "blind to")
        for m in found.members:
            loudest = "yes" if m.fired else ""
            row = (m.name, f"{m.score:.4g}", f"{m.p_value:.4g}", f"{m.weight:g}", loudest, m.blind_to)
            table.add_row(*map(cell, row))
        console.print(table)


def _show_neighbours(console: Console, found: Explanation) -> None:
    from rich.table import Table

    from guard.terminal import cell

    if found.neighbours:
        table = Table("trusted neighbour", "distance", "label")
        for n in found.neighbours:
            table.add_row(f"row {n.origin}", f"{n.distance:.4g}", cell(n.label))
        console.print(table)


def _write_picture(found: Explanation, path: Path) -> None:
    from guard.picture import contact_sheet

    if found.x is None or found.x.ndim != 3:
        raise WrongUse("--picture: there is no image to draw; leave it out for tables and malformed samples")
    images = [found.x, *(each.x for each in found.neighbours)]
    captions = [f"sample: {found.verdict.label}", *(f"row {n.origin}: {n.label}" for n in found.neighbours)]
    try:
        path.write_bytes(contact_sheet(images, captions))
    except OSError as error:
        raise OutputFailed(f"{path}: it cannot be written ({error.strerror}); name another file") from error
