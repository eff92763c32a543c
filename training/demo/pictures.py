"""Samples as pictures inside one HTML file: images as PNG, tables of two columns as a scatter of points."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from guard.spec import ImageInput, InputSpec
from training.attacks.attack import Inputs, Labels
from training.attacks.domain import is_numeric, scaled
from training.demo.measure import Told
from training.demo.scenario import HONEST

__all__ = ["Dot", "image_uri", "scatter"]

_SIDE = 560
_MARGIN = 16


@dataclass(frozen=True)
class Dot:
    """A point of a scatter in pixels; `kind`: trusted, passed, caught, missed or alarm; `claim`: encoded label."""

    x: float
    y: float
    kind: str
    claim: int


def image_uri(x: Inputs) -> str:
    """One image, uint8 (height, width, channels), as a `data:` address; browsers enlarge it without smoothing."""
    buffer = io.BytesIO()
    Image.fromarray(x[..., 0] if x.shape[2] == 1 else x).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def scatter(trusted: tuple[Inputs, Labels], told: Sequence[Told], spec: InputSpec) -> list[Dot]:
    """Trusted points, then the stream's samples, drawn in order of importance; empty unless x has two columns."""
    if isinstance(spec.input, ImageInput) or not is_numeric(spec) or len(spec.input.columns) != 2:
        return []
    samples = sorted((t for t in told if t.entry.x is not None), key=lambda t: _ORDER.index(_kind(t)))
    x = np.concatenate([trusted[0], *(t.entry.x[np.newaxis] for t in samples if t.entry.x is not None)])
    claims = [*trusted[1].tolist(), *(int(t.entry.y or 0) for t in samples)]
    kinds = ["trusted"] * len(trusted[1]) + [_kind(t) for t in samples]
    place = _MARGIN + (_SIDE - 2 * _MARGIN) * scaled(x, spec)
    return [
        Dot(round(right, 1), round(_SIDE - up, 1), kind, claim)
        for (right, up), kind, claim in zip(place.tolist(), kinds, claims, strict=True)
    ]


_ORDER = ("passed", "caught", "alarm", "missed")


def _kind(told: Told) -> str:
    if told.entry.kind == HONEST:
        return "alarm" if told.held else "passed"
    return "caught" if told.held else "missed"
