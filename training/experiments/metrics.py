"""What is counted of a method on one poisoned set: the paper's three figures, and recall at a fixed rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.experiments.experiment import Row

__all__ = [
    "RATES",
    "Judgement",
    "measure",
    "paper_figures",
    "recall_at",
    "threshold_at",
]

RATES = {"1": 0.01, "5": 0.05}
"""False-quarantine rates at which recall is reported, by the percents in the figures' names."""

_PAPER_RATIO = 0.2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What a method makes of the rows that arrive, So (n,), and of clean rows (m,) that it never saw.

    `suspicion`, `clean`: float64, higher is more suspicious, on one scale. `held`: bool (n,), its own verdict.
    `clean_held`: bool (m,), the same for the clean rows; None for a method that decides on So alone.
    """

    suspicion: Floats
    clean: Floats
    held: NDArray[np.bool_]
    clean_held: NDArray[np.bool_] | None = None


def measure(judgement: Judgement, poisoned: NDArray[np.bool_], harm: Floats | None = None) -> Row:
    """The figures of one method.

    `poisoned`: bool (n,), the truth about So; `harm`: what each of its p poisoned rows does, (p,) in [0, 1].

    `recall`, `fqr`: its own verdict on poison and on clean rows. `paper_…`: the same in the paper's words. `auroc`.
    `recall_at_1`, …: recall at the threshold that 1 % of the clean rows exceed, of which the method saw none.
    `fqr_at_1`, …: the share of the clean rows in So above it. So's were in the attacker's hands: where he changes the
    rows that a model is surest of, those that stay clean are harder than usual. `harm_recall_at_1`, …: recall
    weighted by the harm, where there is any.
    """
    held = judgement.held[~poisoned] if judgement.clean_held is None else judgement.clean_held
    fqr, recall = float(held.mean()), float(judgement.held[poisoned].mean())
    poison, clean = judgement.suspicion[poisoned], judgement.clean
    beside = judgement.suspicion[~poisoned]
    figures: Row = {"recall": recall, "fqr": fqr}
    figures |= {f"paper_{name}": value for name, value in paper_figures(fqr, recall).items()}
    figures["auroc"] = float(roc_auc_score(np.repeat([0, 1], [len(clean), len(poison)]), np.append(clean, poison)))
    for percent, rate in RATES.items():
        figures[f"recall_at_{percent}"] = recall_at(rate, clean, poison)
        figures[f"fqr_at_{percent}"] = recall_at(rate, clean, beside) if len(beside) else None
        if harm is not None and harm.any() and (threshold := threshold_at(rate, clean)) is not None:
            figures[f"harm_recall_at_{percent}"] = float(np.average(poison > threshold, weights=harm))
    return figures


def paper_figures(fqr: float, recall: float, ratio: float = _PAPER_RATIO) -> dict[str, float]:
    """Accuracy, recall and F1 where **clean** is positive and there are `ratio` poisoned rows for each clean one.

    recall = 1 − FQR;  accuracy = (1 − FQR + r PR) / (1 + r);  F1 = 2 (1 − FQR) / ((1 − FQR) + 1 + r (1 − PR))

    with PR the share of the poison that is held, `recall` here. "Accept everything" has .833, 1 and .909 at r = 0.2.
    Eq. 11 of the paper prints F1 = PR / 2 (P + R), which no number in its tables follows.
    """
    kept, missed = 1 - fqr, ratio * (1 - recall)
    return {
        "accuracy": (kept + ratio - missed) / (1 + ratio),
        "recall": kept,
        "f1": 2 * kept / (kept + 1 + missed),
    }


def threshold_at(rate: float, clean: Floats) -> float | None:
    """The score that ⌊rate · n⌋ of n clean rows exceed, fewer where scores tie; None where that is no row."""
    allowed = int(rate * len(clean) + 1e-9)
    return float(np.sort(clean)[-allowed - 1]) if allowed else None


def recall_at(rate: float, clean: Floats, poison: Floats) -> float | None:
    """Share of the `poison` scores above the threshold that `clean` scores set; None where they are too few."""
    threshold = threshold_at(rate, clean)
    return None if threshold is None else float(np.mean(poison > threshold))
