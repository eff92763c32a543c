"""The page of a cleansing: what was found, and pictures of the rows that were suspected most."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from guard.picture import contact_sheet
from guard.spec import ImageInput
from guard.terminal import printable
from training.report.figure import histogram_figure
from training.report.template import render_template

if TYPE_CHECKING:
    from training.cleanse.cleanse import Cleansed

__all__ = ["render_page"]

_SHOWN = 24
_ACROSS = 6
_CAPTION = 18


def render_page(cleansed: Cleansed) -> str:
    """report.html: one file that fetches nothing, safe whatever the classes are called. The same bytes each time."""
    names = [printable(str(name)) for name in cleansed.class_names]
    rows = np.flatnonzero(cleansed.suspected)
    rows = rows[np.argsort(-cleansed.verdict.score[rows], kind="stable")][:_SHOWN]
    shown = [
        {
            "row": int(cleansed.snapshot.origin[row]),
            "label": names[int(cleansed.snapshot.y[row])],
            "suggested": names[int(cleansed.verdict.suggested[row])],
            "score": float(cleansed.verdict.score[row]),
        }
        for row in rows
    ]
    return render_template(
        Path(__file__).with_name("cleanse.html.j2"),
        cleansed=cleansed,
        classes=[one._replace(name=name) for one, name in zip(cleansed.classes, names, strict=True)],
        shown=shown,
        sheets=_sheets(cleansed, rows, shown),
        histogram=histogram_figure(cleansed.verdict.score, None),
    )


def _sheets(cleansed: Cleansed, rows: Any, shown: list[dict[str, Any]]) -> list[str]:
    """PNG data URIs, six images each; none for tables."""
    if not isinstance(cleansed.snapshot.spec.input, ImageInput):
        return []
    captions = [f"{one['label']} > {one['suggested']}"[:_CAPTION].encode("ascii", "replace").decode() for one in shown]
    images = [cleansed.snapshot.x[row].astype(np.uint8) for row in rows]
    parts = range(0, len(images), _ACROSS)
    sheets = [contact_sheet(images[k : k + _ACROSS], captions[k : k + _ACROSS]) for k in parts]
    return [f"data:image/png;base64,{base64.b64encode(sheet).decode()}" for sheet in sheets]
