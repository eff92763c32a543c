"""Does the guard hold as many clean samples as it says? Realised rate and printed band, on clean rows never seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from guard.conformal import draw_rates
from training.datasets import load_dataset
from training.experiments.experiment import Case, Experiment, Row, Scale, one_by_one
from training.experiments.summary import mean_and_spread
from training.experiments.trial import ALPHA, Trial, train_trial
from training.presets import PresetName
from training.progress import Progress

__all__ = ["FALSE_QUARANTINE_RATE", "predictive_band"]

_TRUSTED = {"digits": 600, "mnist": 2500, "fourclass": 145, "house": 245}
"""Rows: 20 % of |So| for Fourclass and House; MNIST large enough for two folds to be held out."""

_MOST_CLEAN = 10_000
_BAND = (0.05, 0.95)


def predictive_band(sizes: Sequence[int], clean: int) -> tuple[int, int]:
    """5 % and 95 % quantile of the number held among `clean` new rows, with calibration groups of `sizes` rows.

    The printed band is one of rates; a count from few rows scatters around its rate as well. The count is binomial
    given the rate, and the rate is drawn as the guard's own band draws it (beta-binomial where one group is ranked).
    """
    rates = draw_rates(ALPHA, sizes)
    counts = np.random.default_rng(0).binomial(clean, np.clip(rates, 0, 1))
    low, high = np.quantile(counts, _BAND, method="inverted_cdf")
    return int(low), int(high)


def _run(case: Case, seed: int, progress: Progress) -> Row:
    dataset = load_dataset(str(case.settings["data"]))
    order = np.random.default_rng(seed).permutation(len(dataset.y))
    trusted, rest = np.split(order, [int(str(case.settings["trusted"]))])
    preset: PresetName = "standard" if case.settings["preset"] == "standard" else "fast"
    rows = np.sort(trusted)
    trial = train_trial(dataset.x[rows], dataset.y[rows], dataset.spec, preset, seed, progress)
    clean = rest[:_MOST_CLEAN]
    held = int(trial.judge(dataset.x[clean], dataset.y[clean]).held.sum())
    return {"clean": len(clean), "held": held, "fqr": held / len(clean), **_bands(trial, held, len(clean))}


def _bands(trial: Trial, held: int, clean: int) -> Row:
    card, sizes = trial.fusion.card, trial.fusion.group_sizes
    low, high = predictive_band(sizes, clean)
    return {
        "calibration_rows": card.calibration_rows,
        "groups": len(sizes),
        "extrapolated": card.extrapolated,
        "band_low": card.band[0],
        "band_high": card.band[1],
        "count_low": low,
        "count_high": high,
        "inside": low <= held <= high,
        "inside_naive": card.band[0] <= held / clean <= card.band[1],
    }


def _summarise(rows: Sequence[Row]) -> Row:
    """`inside`: share of seeds whose count lies in the predictive band; `inside_naive`: rate against printed band."""
    shares: Row = {name: float(np.mean([bool(row[name]) for row in rows])) for name in ("inside", "inside_naive")}
    return {"alpha": ALPHA, **shares, **mean_and_spread(rows)}


def _cases(scale: Scale) -> tuple[Case, ...]:
    preset = "fast" if scale == "small" else "standard"
    return tuple(
        Case(name, {"data": name, "trusted": rows, "preset": preset, "alpha": ALPHA}, sources=(__name__,))
        for name, rows in _TRUSTED.items()
    )


FALSE_QUARANTINE_RATE = Experiment(
    name="false-quarantine-rate",
    figure="realised false-quarantine rate at α = 1 %, and how often it lies in the printed 90 % band",
    cases=_cases,
    seeds={"small": 20, "paper": 40},
    run=one_by_one(_run),
    summarise=_summarise,
)
"""Every clean row that is not trusted is judged, at most 10,000 of them."""
