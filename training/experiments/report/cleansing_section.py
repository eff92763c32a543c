"""The section about training without a trusted row: cleansing by method, and backdoors by attack and defence."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import Any

from training.experiments.report.evidence import Evidence
from training.experiments.report.tables import markdown, number, with_spread

__all__ = ["backdoor_table", "cleansing_table"]

_Row = tuple[dict[str, Any], dict[str, Any]]


def cleansing_table(evidence: Evidence) -> str:
    """Each method on the same poisoned rows; empty where nothing was measured."""
    header = ("data", "attack", "method", "accuracy", "success", "poison left out", "clean left out", "overhead")
    figures = ("accuracy", "success", "poison_left_out", "clean_left_out", "overhead")
    rows = [
        (ground["data"], _attack(ground), settings["method"], *(_cell(found, figure) for figure in figures))
        for settings, found in _measured(evidence, "cleansing")
        for ground in [settings["ground"]]
    ]
    return markdown(header, rows)


def backdoor_table(evidence: Evidence) -> str:
    """Accuracy and success of every attack after every defence, the mean of the first ground's, the mean overhead."""
    cells: dict[tuple[str, ...], dict[str, tuple[float, float | None]]] = {}
    overheads: dict[str, list[float]] = {}
    for settings, found in _measured(evidence, "backdoors"):
        ground = settings["ground"]
        attack = ground["attack"] or "no attack"
        place = (attack, f"{ground['ratio']:.0%}", f"{ground['data']}, {ground['architecture']}")
        cells.setdefault(place, {})[settings["method"]] = found["accuracy"]["mean"], _mean(found, "success")
        if (overhead := _mean(found, "overhead")) is not None:
            overheads.setdefault(settings["method"], []).append(overhead)
    methods = list(dict.fromkeys(method for row in cells.values() for method in row))
    rows = [(*place, *(_pair(row.get(method)) for method in methods)) for place, row in cells.items()]
    ground = next((place[1:] for place in cells), ())
    table = [row for place, row in cells.items() if place[1:] == ground and place[0] != "no attack"]
    means = (_pair(_mean_pair([row[method] for row in table if method in row])) for method in methods)
    header = ("attack", "ratio", "data", *methods)
    cost = ("**overhead**", "all", "all", *(_mean_of(overheads.get(method)) for method in methods))
    return markdown(header, [*rows, ("**mean**", *ground, *means), cost]) if rows else ""


def _measured(evidence: Evidence, experiment: str) -> Iterator[_Row]:
    """Settings and summary of each case, in the order of the experiment."""
    document = evidence.documents.get(experiment, {"cases": {}, "summary": {}})
    for name, settings in document["cases"].items():
        if name in document["summary"]:
            yield settings, document["summary"][name]


def _attack(ground: dict[str, Any]) -> str:
    if ground["attack"] is None:
        return "none"
    return f"{ground['attack']}, {ground['rate']:.0%}{', last layer' if ground['transfer'] else ''}"


def _mean(found: dict[str, Any], figure: str) -> float | None:
    return found[figure]["mean"] if figure in found else None


def _cell(found: dict[str, Any], figure: str) -> str:
    return with_spread(_mean(found, figure), found[figure]["std"] if figure in found else None)


def _mean_of(values: list[float] | None) -> str:
    return number(fmean(values) if values else None, 2)


def _pair(cell: tuple[float, float | None] | None) -> str:
    return "–" if cell is None else f"{number(cell[0])} / {number(cell[1])}"


def _mean_pair(cells: list[tuple[float, float | None]]) -> tuple[float, float | None] | None:
    if not cells:
        return None
    return fmean(cell[0] for cell in cells), fmean(cell[1] for cell in cells if cell[1] is not None)
