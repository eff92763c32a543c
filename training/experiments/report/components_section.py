"""The section about De-Pois taken apart: Figs 4 and 8, and Table II."""

from __future__ import annotations

from pathlib import Path

from training.experiments.report import plots
from training.experiments.report.evidence import Evidence, Measured
from training.experiments.report.tables import markdown, number

__all__ = ["components_section"]

_FIGURES = {
    "paper_accuracy": "accuracy",
    "paper_recall": "recall",
    "paper_f1": "F1",
    "recall_at_1": "recall, FQR 1 %",
    "recall_at_5": "FQR 5 %",
    "auroc": "AUROC",
}
_LIKENESS = {
    "wasserstein": "WD",
    "euclidean": "AED",
    "frechet": "FID, small network",
    "inception": "IS, small network",
}


def components_section(evidence: Evidence, folder: Path) -> str:
    """The variants' figures and a plot of their accuracy in `folder`; empty where nothing was measured."""
    cases = {str(case.ground["data"]): case for case in evidence.cases("components")}
    if not cases:
        return ""
    path = folder / "components.svg"
    plots.bars(path, {f"accuracy, {data}": _accuracies(case) for data, case in cases.items()})
    rows = [
        (data, _short(method), *(number(case.figure(method, figure)) for figure in _FIGURES))
        for data, case in cases.items()
        for method in case.summary["methods"]
    ]
    table = markdown(("data", "augmenter / mimic", *_FIGURES.values()), rows)
    return f"![accuracy of the variants](images/evaluation/{path.name})\n\n{table}\n{_likeness(cases)}"


def _accuracies(case: Measured) -> dict[str, float]:
    found = {_short(method): case.figure(method, "paper_accuracy") for method in case.summary["methods"]}
    return {name: value for name, value in found.items() if value is not None}


def _likeness(cases: dict[str, Measured]) -> str:
    rows = [
        (data, augmenter, *(number(found[name]["mean"]) if name in found else "–" for name in _LIKENESS))
        for data, case in cases.items()
        for augmenter, found in case.summary.get("likeness", {}).items()
    ]
    words = "Table II: distances of synthetic rows to clean ones, in standardised columns or pixels in [0, 1]. Lower is"
    words += " better, but for IS; `real` is what other clean rows reach.\n\n"
    return words + markdown(("data", "synthetic rows of", *_LIKENESS.values()), rows) if rows else ""


def _short(method: str) -> str:
    return method.removeprefix("depois:")
