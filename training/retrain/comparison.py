"""What a comparison writes: the contract of the gate, every figure behind it, and a page for people."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from guard.bundle import Bundle
from guard.folder import new_folder
from guard.gate import AuditBound, Comparison
from training.redteam.battery import Battery
from training.report.template import render_template
from training.retrain.measures import Measured, Pair
from training.retrain.policy import Promotion
from training.retrain.rule import RULE

__all__ = ["render_page", "write_comparison"]


def write_comparison(
    pair: Pair, measured: Measured, comparison: Comparison, rule: Promotion, audit: AuditBound | None, out: Path
) -> None:
    """Writes `comparison.json` (for the gate), `figures.json` and `comparison.html` into the folder `out`.

    Whole or not at all. Raises OutputFailed when it exists or cannot be written.
    """
    with new_folder(out) as folder:
        (folder / "comparison.json").write_text(comparison.model_dump_json(indent=2) + "\n", encoding="utf-8")
        text = json.dumps(_as_json(pair, measured), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "figures.json").write_text(text + "\n", encoding="utf-8")
        page = render_page(pair, measured, comparison, rule, audit)
        (folder / "comparison.html").write_text(page, encoding="utf-8")


def render_page(
    pair: Pair, measured: Measured, comparison: Comparison, rule: Promotion, audit: AuditBound | None
) -> str:
    """comparison.html: one file that fetches nothing, safe whatever bundles and samples are called."""
    order = {"worse": 0, "better": 1, "same": 2}
    return render_template(
        Path(__file__).with_name("comparison.html.j2"),
        champion=pair[0],
        challenger=pair[1],
        measured=measured,
        comparison=comparison,
        figures=sorted(comparison.figures, key=lambda figure: order[figure.outcome]),
        rule=[sentence.format(**rule.model_dump()) for sentence in RULE],
        raids=_raids(measured.batteries),
        audit=audit,
    )


def _raids(batteries: tuple[Battery, Battery]) -> list[tuple[Any, Any]]:
    """The raids of both, by attack, widest loss first."""
    theirs = {raid.name: raid for raid in batteries[1].raids}
    pairs = [(raid, theirs[raid.name]) for raid in batteries[0].raids if raid.name in theirs]
    return sorted(pairs, key=lambda two: two[1].held.value - two[0].held.value)


def _as_json(pair: Pair, measured: Measured) -> dict[str, Any]:
    held_out = measured.held_out
    return {
        "champion": _card(pair[0]),
        "challenger": _card(pair[1]),
        "held_out": {
            "digest": held_out.data.digest,
            "rows": len(held_out.lines),
            "left_out": held_out.left,
            "unread": held_out.unread,
            "training_rows_fully_known": held_out.fully_known,
        },
        "held": [rate.as_json for rate in measured.alarms],
        "most_held": list(measured.most_held),
        "seed": measured.batteries[0].seed,
        "attacks": [
            {"name": a.name, "held": [a.held.as_json, b.held.as_json], "harm_passed": [_harm(a), _harm(b)]}
            for a, b in _raids(measured.batteries)
        ],
        "unable": sorted({one.name: one.why for battery in measured.batteries for one in battery.unable}.items()),
        "canaries": None if measured.canaries is None else _canaries(measured),
        "recent": None if measured.recent is None else measured.recent.model_dump(mode="json"),
        "processor_seconds_per_record": list(measured.seconds),
        "slowdown": measured.slowdown,
    }


def _card(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": bundle.digest,
        "snapshot_digest": manifest.snapshot_digest,
        "alpha": bundle.alpha.model_dump(),
    }


def _harm(raid: Any) -> Any:
    return None if raid.harm_passed is None else raid.harm_passed.as_json


def _canaries(measured: Measured) -> dict[str, Any]:
    found = measured.canaries
    assert found is not None  # noqa: S101 – the caller has looked
    return {
        "held": [rate.as_json for rate in found.held],
        "lost": found.lost,
        "listed": [asdict(one) for one in found.listed],
    }
