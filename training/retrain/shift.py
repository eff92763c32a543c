"""By how much new rows differ from the trusted ones: class shares, every column or the pixels, and who sent them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.stats import ks_2samp

from guard.spec import CategoryColumn, ClassLabel, ImageInput, NumberColumn
from training.retrain.intake import Intake
from training.retrain.selection import BANDS, Selection, label_groups
from training.snapshot import Snapshot

__all__ = ["ColumnShift", "GroupShift", "Shift", "SourceShare", "measure_shift"]

_MOST_SOURCES = 1000


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupShift(_Figures):
    """Rows of a class, or of a band of the label: trusted, considered and taken, and its share before and after."""

    name: str
    trusted: int
    considered: int
    taken: int
    share_before: float
    share_after: float


class ColumnShift(_Figures):
    """One column, or all pixels.

    `apart`: the largest difference between the two distribution functions (Kolmogorov and Smirnov), for text and
    booleans half the sum of differences of shares; of pixels the largest over their positions. In [0, 1]. `before`,
    `after`: means of the trusted and the new rows, null for text. `gaps_before`, `gaps_after`: shares.
    """

    name: str
    apart: float
    before: float | None
    after: float | None
    gaps_before: float
    gaps_after: float


class SourceShare(_Figures):
    """What one source sent, and how much of it was taken."""

    name: str
    considered: int
    taken: int


class Shift(_Figures):
    """The difference between a candidate and the trusted snapshot; columns and sources with the largest first."""

    trusted_rows: int
    new_rows: int
    groups: tuple[GroupShift, ...]
    columns: tuple[ColumnShift, ...]
    sources: tuple[SourceShare, ...]
    other_sources: int


def measure_shift(trusted: Snapshot, candidate: Snapshot, intake: Intake, selection: Selection) -> Shift:
    """`candidate`: the trusted rows with the new ones behind them."""
    new = slice(len(trusted.y), None)
    considered = Counter(one.source or "" for one in intake.told)
    taken = Counter(intake.told[place].source or "" for place in intake.sound[selection.taken].tolist())
    return Shift(
        trusted_rows=len(trusted.y),
        new_rows=len(selection.taken),
        groups=_groups(trusted, intake, selection),
        columns=_columns(trusted, candidate.x[new], candidate.y[new]),
        sources=tuple(
            SourceShare(name=name, considered=count, taken=taken[name])
            for name, count in considered.most_common(_MOST_SOURCES)
        ),
        other_sources=max(len(considered) - _MOST_SOURCES, 0),
    )


def _groups(trusted: Snapshot, intake: Intake, selection: Selection) -> tuple[GroupShift, ...]:
    label = trusted.spec.label
    names = [str(value) for value in label.values] if isinstance(label, ClassLabel) else _bands(trusted.y)
    rows = [trusted.y, intake.y, intake.y[selection.taken]]
    counts = [np.bincount(label_groups(trusted.spec, trusted.y, y), minlength=len(names)) for y in rows]
    before, after = counts[0] / counts[0].sum(), (counts[0] + counts[2]) / (counts[0] + counts[2]).sum()
    return tuple(
        GroupShift(name=name, trusted=a, considered=b, taken=c, share_before=p, share_after=q)
        for name, a, b, c, p, q in zip(names, *(each.tolist() for each in (*counts, before, after)), strict=True)
    )


def _bands(y: NDArray[Any]) -> list[str]:
    edges = np.quantile(y, np.arange(BANDS + 1) / BANDS)
    return [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges.tolist())]


def _columns(trusted: Snapshot, x: NDArray[Any], y: NDArray[Any]) -> tuple[ColumnShift, ...]:
    spec = trusted.spec
    if isinstance(spec.input, ImageInput):
        found = [_pixels(trusted.x, x)]
    else:
        found = [
            _numbers(column.name, trusted.x[:, k], x[:, k])
            if isinstance(column, NumberColumn)
            else _choices(
                column.name, trusted.x[:, k], x[:, k], len(column.values) if isinstance(column, CategoryColumn) else 2
            )
            for k, column in enumerate(spec.input.columns)
        ]
    if not isinstance(spec.label, ClassLabel):
        found.append(_numbers("(label)", trusted.y, y))
    return tuple(sorted(found, key=lambda column: -column.apart))


def _numbers(name: str, before: NDArray[Any], after: NDArray[Any]) -> ColumnShift:
    known = [values[~np.isnan(values)] for values in (before, after)]
    some = all(len(values) for values in known)
    return ColumnShift(
        name=name,
        apart=float(ks_2samp(*known, method="asymp").statistic) if some else float(len(known[0]) != len(known[1])),
        before=float(known[0].mean()) if len(known[0]) else None,
        after=float(known[1].mean()) if len(known[1]) else None,
        gaps_before=float(np.isnan(before).mean()),
        gaps_after=float(np.isnan(after).mean()),
    )


def _choices(name: str, before: NDArray[Any], after: NDArray[Any], choices: int) -> ColumnShift:
    shares = [
        np.bincount(values[~np.isnan(values)].astype(np.int64), minlength=choices) / max(len(values), 1)
        for values in (before, after)
    ]
    gaps = [float(np.isnan(values).mean()) for values in (before, after)]
    apart = (np.abs(shares[0] - shares[1]).sum() + abs(gaps[0] - gaps[1])) / 2
    return ColumnShift(name=name, apart=float(apart), before=None, after=None, gaps_before=gaps[0], gaps_after=gaps[1])


def _pixels(before: NDArray[Any], after: NDArray[Any]) -> ColumnShift:
    """`apart`: the largest difference of a pixel's mean, as a share of white."""
    means = [x.mean(axis=0) / 255 for x in (before, after)]
    return ColumnShift(
        name="(pixels)",
        apart=float(np.abs(means[0] - means[1]).max()),
        before=float(means[0].mean()),
        after=float(means[1].mean()),
        gaps_before=0.0,
        gaps_after=0.0,
    )
