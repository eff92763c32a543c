"""What a dashboard is made of: pages, rows, panels, and the parts of their expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HELD", "MALFORMED", "OF", "WELL_FORMED", "Page", "Panel", "quantile", "rate", "selected", "share"]

OF = '{job=~"$job",instance=~"$instance"}'
"""Of the guards that the dashboard's variables select."""

HELD, MALFORMED = 'verdict="quarantined"', 'verdict="malformed"'
WELL_FORMED = 'verdict=~"clean|quarantined"'


@dataclass(frozen=True)
class Panel:
    """One panel. `queries`: its expressions, each with the legend of its series; widths add up to 24 a row."""

    title: str
    kind: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    width: int = 8
    description: str = ""
    red_from: float | None = None
    green_from: float | None = None


@dataclass(frozen=True)
class Page:
    """One dashboard, in rows of panels."""

    name: str
    title: str
    description: str
    rows: Sequence[tuple[str, Sequence[Panel]]]


def selected(labels: str = "") -> str:
    """The selector of the dashboard's variables, and of `labels` beside it."""
    return OF[:-1] + (f",{labels}" if labels else "") + "}"


def rate(name: str, by: str, labels: str = "") -> str:
    """A counter's increase a second."""
    return f"sum by ({by}) (rate({name}{selected(labels)}[$__rate_interval]))"


def quantile(q: float, name: str) -> str:
    """A quantile of a histogram over all guards."""
    return f"histogram_quantile({q}, sum by (le) (rate({name}_bucket{OF}[$__rate_interval])))"


def share(of: str, among: str) -> str:
    """The share of records with the labels `of` among those with the labels `among`."""
    part, whole = (f"sum(rate(guard_records_total{selected(labels)}[$__rate_interval]))" for labels in (of, among))
    return f"{part} / {whole}"
