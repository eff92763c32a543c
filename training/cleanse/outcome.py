"""What a cleansing leaves behind: the kept rows as a snapshot, the suspected ones for review, a list and a page.

OUT/snapshot/        the rows that stay; its provenance says how it was cleansed
OUT/suspected/       a folder as `depois filter` writes it, for `depois review --folder`
OUT/rows.jsonl       every row: its number in the source, score, share, whether it is suspected, suggested label
OUT/cleanse.json     the figures
OUT/report.html      the same for people, with pictures
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from guard.errors import TrainingFailed
from guard.filter.sinks import QUARANTINE, VERDICTS
from guard.filter.summary import SUMMARY
from guard.filter.verdicts import VerdictLine
from guard.folder import new_folder
from guard.sample import encode_samples
from guard.verdict import HoldReason, Status
from training.cleanse.cleanse import Cleansed
from training.cleanse.report import render_page
from training.snapshot import Snapshot, snapshot_from_arrays, write_snapshot

__all__ = ["as_json", "cleansed_snapshot", "write_outcome"]

_SOURCE = "cleansed snapshot"


def write_outcome(cleansed: Cleansed, out: Path) -> None:
    """Writes the folder `out`, whole or not at all. Raises OutputFailed; SnapshotRefused where too few rows stay."""
    kept = cleansed_snapshot(cleansed)
    with new_folder(out) as folder:
        write_snapshot(kept, folder / "snapshot")
        _write_suspected(cleansed, folder / "suspected")
        (folder / "rows.jsonl").write_bytes(_row_lines(cleansed))
        text = json.dumps(as_json(cleansed), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "cleanse.json").write_text(text + "\n", encoding="utf-8")
        (folder / "report.html").write_text(render_page(cleansed), encoding="utf-8")


def cleansed_snapshot(cleansed: Cleansed) -> Snapshot:
    """The rows that stay, with their numbers in the source. Its provenance adds how it was cleansed, and from what.

    Raises SnapshotRefused where too few rows are left, TrainingFailed where a class has lost all of its rows.
    """
    snapshot, kept = cleansed.snapshot, ~cleansed.suspected
    lost = sorted(set(snapshot.y.tolist()) - set(snapshot.y[kept].tolist()))
    if lost:
        raise TrainingFailed(
            f"every row of class {cleansed.class_names[int(lost[0])]!r} is suspected: a snapshot without that class "
            "would be another task. Look at its rows, and leave the class out or collect it again"
        )
    record = {
        "cleansed_by": cleansed.method.name,
        "cleansed_from": snapshot.digest,
        "cleansed_seed": str(cleansed.seed),
        "cleansed_suspected": f"{int(cleansed.suspected.sum())} of {len(snapshot.y)} rows",
        "cleansed_not_judged": f"{int((~cleansed.judged).sum())} rows of classes with too few",
    }
    provenance = {**snapshot.provenance, **record}
    arrays = snapshot.x[kept], snapshot.y[kept]
    seed = int(snapshot.provenance.get("seed", "0"))
    return snapshot_from_arrays(*arrays, snapshot.spec, provenance, seed=seed, origin=snapshot.origin[kept])


def as_json(cleansed: Cleansed) -> dict[str, Any]:
    """The content of `cleanse.json`."""
    return {
        "method": cleansed.method.name,
        "why": cleansed.why,
        "seed": cleansed.seed,
        "snapshot": cleansed.snapshot.digest,
        "rows": len(cleansed.suspected),
        "judged": int(cleansed.judged.sum()),
        "suspected": int(cleansed.suspected.sum()),
        "read_as_labelled_unseen": round(cleansed.held_out, 4),
        "classes": [one._asdict() for one in cleansed.classes],
    }


def _row_lines(cleansed: Cleansed) -> bytes:
    names, verdict, encode = cleansed.class_names, cleansed.verdict, msgspec.json.encode
    columns = (
        cleansed.snapshot.origin.tolist(),
        cleansed.snapshot.y.tolist(),
        verdict.score.tolist(),
        cleansed.p.tolist(),
        cleansed.suspected.tolist(),
        cleansed.judged.tolist(),
        verdict.suggested.tolist(),
    )
    lines = [
        encode(
            {
                "row": row,
                "label": names[int(y)],
                "score": score,
                "share_at_least_as_suspicious": p,
                "suspected": suspected,
                "judged": judged,
                "suggested_label": names[suggested],
            }
        )
        for row, y, score, p, suspected, judged, suggested in zip(*columns, strict=True)
    ]
    return b"".join(line + b"\n" for line in lines)


def _write_suspected(cleansed: Cleansed, folder: Path) -> None:
    """The suspected rows in the wire format with a verdict each, in the order of their numbers in the source."""
    snapshot = cleansed.snapshot
    rows = np.flatnonzero(cleansed.suspected)
    rows = rows[np.argsort(snapshot.origin[rows], kind="stable")]
    names = [f"row {origin}" for origin in snapshot.origin[rows].tolist()]
    lines = encode_samples(snapshot.spec, snapshot.x[rows], snapshot.y[rows], [_SOURCE] * len(rows), names)
    folder.mkdir()
    (folder / QUARANTINE).write_bytes(b"".join(line + b"\n" for line in lines))
    verdicts = [msgspec.json.encode(_verdict(cleansed, int(row))) + b"\n" for row in rows]
    (folder / VERDICTS).write_bytes(b"".join(verdicts))
    summary = {"complete": True, **as_json(cleansed)}
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _verdict(cleansed: Cleansed, row: int) -> VerdictLine:
    snapshot, names = cleansed.snapshot, cleansed.class_names
    return VerdictLine(
        line=int(snapshot.origin[row]),
        id=f"row {snapshot.origin[row]}",
        verdict=Status.QUARANTINED,
        reason=HoldReason.SUSPECT,
        p_value=float(cleansed.p[row]),
        threshold=None,
        member=cleansed.method.name,
        suggested_label=names[int(cleansed.verdict.suggested[row])],
        source=_SOURCE,
        label=names[int(snapshot.y[row])],
        detail=None,
        observed=False,
        model=f"cleanse-{cleansed.method.name}:{cleansed.seed}",
        model_sha256=snapshot.digest,
    )
