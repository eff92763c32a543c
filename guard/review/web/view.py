"""What the page shows of a held record's sample, as JSON; and its pictures, drawn anew from decoded pixels.

Nothing that a sender wrote reaches the browser as anything but text in JSON, cut to a bearable length. A sender's image
file is never passed on: what was decoded from it is. Of a record of which nothing was judged, as in an audit, no
opinion of the model is shown, so that the person's own is not led.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from guard.ablation import Ablation, ablate
from guard.bundle import Bundle
from guard.explain import Explanation, MemberOpinion, Neighbour, explain_record
from guard.picture import png
from guard.review.held import HeldRecord
from guard.spec import BooleanColumn, CategoryColumn, Column, TableInput

__all__ = ["details", "kind_of", "marks", "picture", "trusted_picture"]

_TEXT_CHARACTERS = 4000
_CELL_CHARACTERS = 200
_COLUMNS = 500
_NEIGHBOURS = 5
_MARKS = 3
_WHOLE = 1e15
"""Numbers are shown to six digits; whole ones in full up to here."""


def kind_of(bundle: Bundle | None) -> str:
    """How samples are shown: `image`, `table`, or `text` where no bundle tells what they are."""
    if bundle is None:
        return "text"
    return "table" if isinstance(bundle.manifest.spec.input, TableInput) else "image"


def details(record: HeldRecord | None, bundle: Bundle | None) -> dict[str, Any]:
    """The sample, and why it is held."""
    if record is None:
        return {"kind": "gone"}
    found = None if bundle is None else explain_record(bundle, record.value, _NEIGHBOURS)
    if bundle is None or found is None or found.x is None:
        return _as_text(record)
    judged = _judged(record)
    shown = {
        "kind": kind_of(bundle),
        "explained": f"{bundle.manifest.name}:{bundle.manifest.version}",
        "members": [_opinion(one) for one in found.members] if judged else [],
        "suggested_now": str(found.suggested_label) if judged and found.suggested_label is not None else None,
        "neighbours": [_neighbour(one, judged=judged) for one in found.neighbours],
    }
    table = bundle.manifest.spec.input
    return (
        {**shown, **_columns(found, table.columns, _blame(record, bundle))} if isinstance(table, TableInput) else shown
    )


def marks(record: HeldRecord | None, bundle: Bundle | None) -> list[dict[str, str]]:
    """The columns of a table that made a held record suspicious, the heaviest first, at most three."""
    if record is None or bundle is None or not isinstance(bundle.manifest.spec.input, TableInput):
        return []
    decoded = bundle.judgement.decoder.decode([record.value])
    blame = _blame(record, bundle)
    if blame is None:
        return []
    columns = bundle.manifest.spec.input.columns
    heaviest = [at for at in np.argsort(-blame.weights, kind="stable").tolist() if blame.blamed[at]][:_MARKS]
    return [{"name": _cut(columns[at].name), "value": _cell(columns[at], decoded.x[0, at])} for at in heaviest]


def picture(record: HeldRecord | None, bundle: Bundle) -> bytes | None:
    """The sample's image as PNG; None where it has none that can be drawn."""
    found = None if record is None else explain_record(bundle, record.value, 0).x
    return None if found is None or found.ndim != 3 else png(found)


def trusted_picture(bundle: Bundle, row: int) -> bytes | None:
    """The image of the trusted sample that was `row` in its source, as PNG."""
    places = np.flatnonzero(bundle.reference.origin == row)
    return png(bundle.reference.x[places[0]]) if len(places) and bundle.reference.x.ndim == 4 else None


def _judged(record: HeldRecord) -> bool:
    """Whether any model has: a sample that an audit drew names none."""
    return bool(record.held.model)


def _opinion(one: MemberOpinion) -> dict[str, Any]:
    return {"name": one.name, "p": one.p_value, "fired": one.fired, "blind": one.blind_to}


def _neighbour(one: Neighbour, *, judged: bool) -> dict[str, Any]:
    return {"distance": one.distance if judged else None, "label": str(one.label), "row": one.origin}


def _blame(record: HeldRecord, bundle: Bundle) -> Ablation | None:
    """What each column weighs; None where nothing was judged, or it cannot be scored."""
    decoded = bundle.judgement.decoder.decode([record.value])
    return ablate(bundle, decoded.x, decoded.y) if len(decoded.x) and _judged(record) else None


def _columns(found: Explanation, columns: Sequence[Column], blame: Ablation | None) -> dict[str, Any]:
    """Every column beside its trusted values; those to blame first, the heaviest of them at the top."""
    weights = np.zeros(len(columns)) if blame is None else np.where(blame.blamed, blame.weights, 0.0)
    order = np.argsort(-weights, kind="stable").tolist()
    rows = [_row(columns[at], at, found, blame) for at in order[:_COLUMNS]]
    return {"columns": rows, "more": max(0, len(columns) - _COLUMNS)}


def _row(column: Column, at: int, found: Explanation, blame: Ablation | None) -> dict[str, Any]:
    return {
        "name": _cut(column.name),
        "value": "" if found.x is None else _cell(column, found.x[at]),
        "share": None if blame is None else float(blame.shares[at]),
        "blamed": blame is not None and bool(blame.blamed[at]),
        "near": [_cell(column, one.x[at]) for one in found.neighbours],
    }


def _as_text(record: HeldRecord) -> dict[str, Any]:
    text = record.value[: 4 * _TEXT_CHARACTERS].decode(errors="backslashreplace")[:_TEXT_CHARACTERS]
    return {"kind": "text", "text": text, "cut": len(text.encode(errors="replace")) < record.held.size}


def _cell(column: Column, value: float) -> str:
    if math.isnan(value):
        return "(none)"
    if isinstance(column, CategoryColumn):
        return _cut(column.values[int(value)])
    if isinstance(column, BooleanColumn):
        return "true" if value else "false"
    whole = value == int(value) and abs(value) < _WHOLE
    return str(int(value)) if whole else f"{value:.6g}"


def _cut(text: str) -> str:
    return text if len(text) <= _CELL_CHARACTERS else f"{text[:_CELL_CHARACTERS]}…"
