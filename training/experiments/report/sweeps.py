"""The figures that show a method's figures over one setting: poison rate, trusted share, dirty trust, known classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from training.experiments.report import plots
from training.experiments.report.evidence import Evidence, Measured
from training.experiments.report.printed import ATTACKS

__all__ = ["SWEEPS", "Sweep", "draw"]

_PANELS = {
    "paper_accuracy": "accuracy (paper's convention)",
    "paper_f1": "F1 (paper's convention)",
    "recall_at_1": "poison recall at FQR 1 %",
}


@dataclass(frozen=True)
class Sweep:
    """One figure. `file`: the plot's name; `x` of a case, named `across` on the axis; `cases`: what is drawn."""

    title: str
    file: str
    experiment: str
    across: str
    x: Callable[[Measured], float]
    cases: Callable[[Evidence], list[Measured]]


def draw(sweep: Sweep, evidence: Evidence, folder: Path) -> Path | None:
    """Accuracy, F1 and recall at FQR 1 % of every method; None where there are fewer than two cases."""
    cases = sweep.cases(evidence)
    if len(cases) < 2:
        return None
    path = folder / f"{sweep.file}.svg"
    plots.lines(path, {title: _lines(cases, sweep.x, figure) for figure, title in _PANELS.items()}, sweep.across)
    return path


def _lines(cases: list[Measured], x: Callable[[Measured], float], figure: str) -> dict[str, dict[float, float]]:
    found: dict[str, dict[float, float]] = {}
    for case in cases:
        for method in case.summary["methods"]:
            value = case.figure(method, figure)
            if value is not None:
                found.setdefault(method, {})[x(case)] = value
    return found


def _rate(case: Measured) -> float:
    return 100 * float(case.settings["rate"])


def _share(case: Measured) -> float:
    return 100 * float(case.ground["trusted"])


def _dirty(case: Measured) -> float:
    return 100 * float(case.ground["dirty"])


def _known(case: Measured) -> float:
    return float(case.ground["known"] or 10)


def _by_rate(experiment: str, attack: str, evidence: Evidence) -> list[Measured]:
    return [case for case in evidence.table(experiment, attack) if case.ground["trusted"] == 0.20]


def _by_share(experiment: str, attack: str, evidence: Evidence) -> list[Measured]:
    return [case for case in evidence.table(experiment, attack) if case.settings["rate"] == 0.2]


def _by_dirt(data: str, evidence: Evidence) -> list[Measured]:
    cases = [case for case in evidence.cases("trusted-poison") if case.ground["data"] == data]
    return sorted(cases, key=_dirty)


def _by_classes(evidence: Evidence) -> list[Measured]:
    return sorted(evidence.cases("known-classes"), key=_known)


def _sweeps_of(key: str) -> tuple[Sweep, Sweep]:
    stand = ATTACKS[key]
    name = stand.experiment, stand.attack
    return (
        Sweep(
            f"Figs 5 to 7, {stand.words}: by poison rate, 20 % trusted",
            f"rate-{key.lower()}",
            stand.experiment,
            "Rp, %",
            _rate,
            partial(_by_rate, *name),
        ),
        Sweep(
            f"Table III and Fig. 10, {stand.words}: by trusted share",
            f"share-{key.lower()}",
            stand.experiment,
            "|St|, % of |So|",
            _share,
            partial(_by_share, *name),
        ),
    )


SWEEPS: tuple[Sweep, ...] = (
    *(sweep for key in ATTACKS for sweep in _sweeps_of(key)),
    Sweep(
        "Fig. 9, GP (direct) on MNIST: by poison rate, 20 % trusted",
        "rate-gp",
        "mnist",
        "Rp, %",
        _rate,
        partial(_by_rate, "mnist", "direct-gradient"),
    ),
    *(
        Sweep(
            f"Fig. 11, {data}: poison among the trusted rows",
            f"dirty-{data}",
            "trusted-poison",
            "share of St, %",
            _dirty,
            partial(_by_dirt, data),
        )
        for data in ("fourclass", "house")
    ),
    Sweep(
        "Fig. 13, PGD on MNIST: classes that St holds",
        "known-classes",
        "known-classes",
        "classes",
        _known,
        _by_classes,
    ),
)
"""In the order of the paper."""
