"""Who sends poison: after how many samples a source is accused, and how often an honest one ever is.

One guard is trained for each seed; its p-values of clean and of flipped samples that it never saw are two pools from
which sources are then drawn, so that many sources and runs cost little more than one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from guard.suspicion import FLOOR, LEVEL, TOLERATED, Suspicion, suspicion_of
from training.attacks.attack import AttackerRows
from training.attacks.random_flip import flip_random
from training.datasets import load_dataset
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.trial import train_trial
from training.progress import Progress

__all__ = ["BLAME", "accusation_times"]

Cells = NDArray[np.int64]

_TRUSTED = (2500, 6000)
"""A fifth of them calibrates. With more, rarer p-values are told apart, and what clean samples do is known better."""

_CLEAN = 10_000
_FLIPPED = 4000
_SHARES = (0.05, 0.2, 0.5)
_SOURCES = 2000
_MOST_SAMPLES = 3000
_HONEST = 10_000
_HONEST_SAMPLES = 1000
_LOOK = 32


def accusation_times(
    suspicion: Suspicion, cells: Cells, arrivals: NDArray[np.int64], most: int | None = None
) -> NDArray[np.int64]:
    """After how many of its samples each source is accused, 0 where it never is.

    `cells`: (samples, sources), those of the p-values (`Suspicion.cell_of`); `arrivals`: (sources,) the number of each
    in the order of arrival, from 1. The same rule as `guard.blame` for all sources at once; `most` ends the
    run when so many are accused.
    """
    samples, sources = cells.shape
    counts = np.zeros((sources, suspicion.cells), np.int64)
    rounds = np.ones(sources, np.int64)
    found = np.zeros(sources, np.int64)
    first = np.array([suspicion.log_needed(int(number)) for number in arrivals])
    needed = first + np.log(2.0)
    for sample in range(samples):
        counts[np.arange(sources), cells[sample]] += 1
        due = np.flatnonzero((found == 0) & ((cells[sample] <= suspicion.back) | ((sample + 1) % _LOOK == 0)))
        evidence = suspicion.log_evidence(counts[due])
        found[due[evidence >= needed[due]]] = sample + 1
        if most is not None and np.count_nonzero(found) >= most:
            break
        idle = due[evidence < FLOOR]
        counts[idle] = 0
        rounds[idle] += 1
        needed[idle] = first[idle] + np.log(rounds[idle] * (rounds[idle] + 1.0))
    return found


def _run(cases: Sequence[Case], seed: int, progress: Progress) -> Iterator[Row]:
    suspicion, clean, flipped = _pools(int(str(cases[0].settings["trusted"])), seed, progress)
    rng = np.random.default_rng(seed)
    for case in cases:
        if case.settings["share"]:
            yield _delay(suspicion, clean, flipped, float(str(case.settings["share"])), rng)
        else:
            yield _false_accusations(suspicion, clean, int(str(case.settings["runs"])), rng)


def _pools(size: int, seed: int, progress: Progress) -> tuple[Suspicion, Cells, Cells]:
    """Cells of clean and of flipped samples."""
    dataset = load_dataset("mnist")
    order = np.random.default_rng(seed).permutation(len(dataset.y))
    trusted, rest = np.sort(order[:size]), order[size:]
    trial = train_trial(dataset.x[trusted], dataset.y[trusted], dataset.spec, "fast", seed, progress)
    clean, base = rest[:_CLEAN], rest[_CLEAN : _CLEAN + 2 * _FLIPPED]
    rows = AttackerRows(dataset.x[base], dataset.y[base], dataset.spec)
    poison = flip_random(rows, _FLIPPED, np.random.default_rng(seed))
    suspicion = suspicion_of(trial.fusion, "mnist")
    judged = trial.judge(dataset.x[clean], dataset.y[clean]), trial.judge(poison.x, poison.y)
    own, wrong = (suspicion.cell_of(one.p_values.tolist()) for one in judged)
    return suspicion, own, wrong


def _delay(suspicion: Suspicion, clean: Cells, flipped: Cells, share: float, rng: np.random.Generator) -> Row:
    """The last of 10,000 sources to arrive: the hardest place in a crowd of that size."""
    shape = (_MOST_SAMPLES, _SOURCES)
    cells = np.where(rng.random(shape) < share, rng.choice(flipped, shape), rng.choice(clean, shape))
    times = accusation_times(suspicion, cells, np.full(_SOURCES, _HONEST))
    censored = np.where(times > 0, times, np.inf)
    low, median, high = (_finite(value) for value in np.quantile(censored, (0.05, 0.5, 0.95), method="higher"))
    return {
        "recall": float((flipped <= suspicion.back).mean()),
        "recall_at": suspicion.thresholds[suspicion.back],
        "accused": float((times > 0).mean()),
        "samples": {"median": median, "q05": low, "q95": high},
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _false_accusations(suspicion: Suspicion, clean: Cells, runs: int, rng: np.random.Generator) -> Row:
    arrivals = np.arange(1, _HONEST + 1)
    shape = (_HONEST_SAMPLES, _HONEST)
    accused = [
        int(np.count_nonzero(accusation_times(suspicion, rng.choice(clean, shape), arrivals, 1))) for _ in range(runs)
    ]
    rates: list[JsonValue] = [float((clean <= cell).mean()) for cell in range(len(suspicion.thresholds))]
    bounds: list[JsonValue] = [[*bounds] for bounds in suspicion.bounds]
    return {
        "runs": runs,
        "runs_with_one": int(np.count_nonzero(accused)),
        "rates": rates,
        "bounds": bounds,
    }


def _summarise(rows: Sequence[Row]) -> Row:
    if "runs" in rows[0]:
        runs = sum(int(str(row["runs"])) for row in rows)
        wrong = sum(int(str(row["runs_with_one"])) for row in rows)
        return {"runs": runs, "runs_with_one": wrong, "share_of_runs": wrong / runs}
    medians = [cast("dict[str, float | None]", row["samples"])["median"] for row in rows]
    known = [median for median in medians if median is not None]
    return {
        "median_samples": {"mean": float(np.mean(known)) if known else None, "seeds": len(rows), "reached": len(known)},
        "accused": float(np.mean([float(str(row["accused"])) for row in rows])),
        "recall": float(np.mean([float(str(row["recall"])) for row in rows])),
    }


def _cases(scale: Scale) -> tuple[Case, ...]:
    shared: Row = {"data": "mnist", "level": LEVEL, "tolerated": TOLERATED, "arrival": _HONEST}
    runs = 40 if scale == "small" else 200
    found = []
    for trusted in _TRUSTED:
        own, group = {**shared, "trusted": trusted}, f"mnist, {trusted}"
        honest: Row = {**own, "share": 0.0, "sources": _HONEST, "samples": _HONEST_SAMPLES, "runs": runs}
        for share in _SHARES:
            name = f"{100 * share:g} % poison, {trusted} trusted"
            found.append(Case(name, {**own, "share": share}, (__name__,), group))
        found.append(Case(f"honest, {trusted} trusted", honest, (__name__,), group))
    return tuple(found)


BLAME = Experiment(
    name="blame",
    figure="samples until a source that sends flipped MNIST labels is accused; runs in which an honest source ever is",
    cases=_cases,
    seeds={"small": 3, "paper": 5},
    run=_run,
    summarise=_summarise,
)
"""10,000 honest sources with 1000 samples each; poisoners arrive as the 10,000th."""
