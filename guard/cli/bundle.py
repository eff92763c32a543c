"""`depois bundle`: verify, show, compare, re-calibrate and mark model bundles."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from guard.calibration import BoundaryRule
from guard.runtime import Device
from guard.terminal import cell

if TYPE_CHECKING:
    from guard.bundle import ParsedBundle
    from guard.gate import AuditBound
    from guard.manifest import Alpha, Manifest

__all__ = ["app", "audit", "calibrate", "diff", "show", "verify"]

app = typer.Typer(
    help="Show, verify, compare or re-calibrate model bundles.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that `depois train` wrote.")]
_Pin = Annotated[str | None, typer.Option(metavar="HEX", help="The SHA-256 that its manifest.json must have.")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
_Out = Annotated[Path | None, typer.Option(metavar="NEW", help="A new folder; else the bundle is replaced.")]


@app.command(epilog="Example: depois bundle verify bundle --sha256 $(cut -c-64 pinned.sha256)")
def verify(
    bundle: _Bundle,
    *,
    device: Annotated[Device, typer.Option(help="Where golden vectors are replayed.")] = "cpu",
    sha256: _Pin = None,
    as_json: _Json = False,
) -> None:
    """Load a bundle as the guard does: hashes, audit of the graph, golden vectors. Ends with 1 if it is refused."""
    from guard.bundle import load_bundle

    digest = load_bundle(bundle, device=device, sha256=sha256).digest
    sound = f"{bundle}  sha256 {digest}\nEvery hash holds, the graph is sound, all golden vectors replay."
    typer.echo(_json({"bundle": str(bundle), "digest": digest, "sound": True}) if as_json else sound)


@app.command(epilog="Example: depois bundle show bundle")
def show(bundle: _Bundle, *, sha256: _Pin = None, as_json: _Json = False) -> None:
    """Show what a bundle accepts, what it was made from, what α it can be held to, and what it is blind to."""
    from guard.bundle import parse_bundle

    parsed = parse_bundle(bundle, sha256=sha256)
    if as_json:
        typer.echo(_json(_as_json(bundle, parsed)))
        return
    console = _console()
    _print_rows(console, ("bundle", ""), _overview(bundle, parsed))
    members = [(m.name, f"{m.weight:g}", m.description, m.blind_to) for m in parsed.manifest.members]
    _print_rows(console, ("member", "weight", "what it sees", "blind to"), members)
    for title in ("metrics", "training", "libraries"):
        _print_rows(console, (title, ""), list(getattr(parsed.manifest, title).items()))
    sizes = [(name, f"{len(data):,}", parsed.manifest.files[name]) for name, data in parsed.stored.contents.items()]
    _print_rows(console, ("file", "bytes", "sha256"), sizes)


@app.command(epilog="Example: depois bundle diff bundle-2026-01 bundle-2026-02")
def diff(left: _Bundle, right: _Bundle, *, as_json: _Json = False) -> None:
    """Show what differs between two bundles: members, α, specification, snapshot, settings, sizes and hashes."""
    from guard.bundle import parse_bundle
    from guard.difference import differences

    found = differences(parse_bundle(left).stored, parse_bundle(right).stored)
    if as_json:
        typer.echo(_json({"left": str(left), "right": str(right), "differences": [asdict(each) for each in found]}))
    elif found:
        _print_rows(_console(), ("entry", str(left), str(right)), [(d.entry, d.left, d.right) for d in found])
    else:
        typer.echo("The bundles are alike.")


@app.command(epilog="Example: depois bundle calibrate bundle --alpha 0.02 --out bundle-2-percent")
def calibrate(
    bundle: _Bundle,
    *,
    alpha: Annotated[float | None, typer.Option(help="Share of clean samples that may be held, in (0, 1).")] = None,
    boundary: Annotated[
        BoundaryRule | None,
        typer.Option(help="conformal: hold at α. zscore: the paper's μ − 1.96 σ of the mimic alone, whatever α."),
    ] = None,
    version: Annotated[str | None, typer.Option(help="Its new version; a registry wants one for other bytes.")] = None,
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Change α or the boundary of a finished bundle. Neither the network nor its report is touched."""
    from guard.bundle import recalibrate

    done = recalibrate(bundle, alpha=alpha, boundary=boundary, version=version, out=out)
    target = str(out or bundle)
    if as_json:
        before, after = (card.model_dump(mode="json") for card in (done.before, done.after))
        found = {"digest": done.digest, "boundary": done.boundary, "before": before, "after": after}
        typer.echo(_json({"bundle": target, **found}))
        return
    if done.boundary == "zscore":
        typer.echo("The z-score boundary decides, whatever α: the bands below hold for boundary conformal only.")
    typer.echo(f"before: {_alpha(done.before)}\nafter:  {_alpha(done.after)}\n{target}  sha256 {done.digest}")


@app.command(epilog="Example: depois bundle audit bundle --result audit.json --out bundle-audited")
def audit(
    bundle: _Bundle,
    *,
    result: Annotated[Path, typer.Option(metavar="AUDIT.json", help="What the audit of its snapshot found.")],
    out: _Out = None,
    as_json: _Json = False,
) -> None:
    """Mark a bundle with the audit of the snapshot that it was trained on. Its digest changes, its verdicts do not."""
    from guard.bundle import carry_audit
    from guard.gate import read_audit

    digest, target = carry_audit(bundle, found := read_audit(result), out), str(out or bundle)
    if as_json:
        typer.echo(_json({"bundle": target, "digest": digest, "audit": found.model_dump(mode="json")}))
    else:
        typer.echo(f"audited: {found.sentence}\n{target}  sha256 {digest}")


def _overview(path: Path, parsed: ParsedBundle) -> list[tuple[str, object]]:
    manifest = parsed.manifest
    return [
        ("folder", path),
        ("name", f"{manifest.name}:{manifest.version}, made {manifest.created}"),
        ("sha256", parsed.stored.digest),
        ("samples", _accepted(manifest)),
        ("α", _alpha(manifest.alpha)),
        ("boundary", _boundary(parsed)),
        ("snapshot", manifest.snapshot_digest),
        ("audited", _audited(manifest.audit)),
    ]


def _accepted(manifest: Manifest) -> str:
    spec = manifest.spec.model_dump()
    shape, label = spec["input"], spec["label"]
    if shape["kind"] == "image":
        what = f"images of {shape['height']} × {shape['width']} pixels, {shape['channels']} channel(s)"
    else:
        what = f"rows of {len(shape['columns'])} columns ({', '.join(c['name'] for c in shape['columns'])})"
    if label["kind"] == "number":
        return f"{what}; the label is a number from {label['minimum']:g} to {label['maximum']:g}"
    return f"{what}; the label is one of {len(label['values'])} classes ({', '.join(map(str, label['values']))})"


def _alpha(alpha: Alpha) -> str:
    low, high = alpha.band
    text = f"α = {alpha.value:.3g}, held to {low:.2%}–{high:.2%} by {alpha.calibration_rows} calibration rows"
    return f"{text} (EXTRAPOLATED: too few rows to guarantee it)" if alpha.extrapolated else text


def _audited(audit: AuditBound | None) -> str:
    return "NO: nobody looked for poison in the snapshot" if audit is None else audit.sentence


def _boundary(parsed: ParsedBundle) -> str:
    if parsed.manifest.boundary == "conformal":
        return "conformal: a sample is held when its fused p-value is at most α"
    calibration = parsed.calibration
    held = parsed.fusion.judge(calibration.scores, calibration.labels).held
    return f"zscore: the mimic alone decides, whatever α; it holds {held.mean():.1%} of the calibration rows"


def _as_json(path: Path, parsed: ParsedBundle) -> dict[str, Any]:
    sizes = {name: len(data) for name, data in parsed.stored.contents.items()}
    manifest = parsed.manifest.model_dump(mode="json")
    return {"bundle": str(path), "digest": parsed.stored.digest, "manifest": manifest, "sizes": sizes}


def _print_rows(console: Console, titles: tuple[str, ...], rows: list[Any]) -> None:
    if rows:
        table = Table(*(Column(title, overflow="fold") for title in titles))
        for row in rows:
            table.add_row(*map(cell, row))
        console.print(table)


def _console() -> Console:
    return Console(markup=False, highlight=False, emoji=False)


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)
