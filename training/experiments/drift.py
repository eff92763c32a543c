"""Drift or attack: after how many records a change of the data is told, and how often where all or most is as it was.

One guard is trained for each seed on nine digits, another on the houses that were sold first. Streams of many sources
are drawn from its p-values of samples that it never saw; houses come once each, in the order of the years.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rotate

from guard.drift import LEVEL, Drift, Expected, Watched, expected_of
from guard.spec import TableInput
from guard.verdict import HoldReason, Status, Verdict
from training.attacks.attack import AttackerRows
from training.attacks.random_flip import flip_random
from training.datasets import Dataset, load_dataset, select_classes
from training.experiments.experiment import Case, Experiment, Row, Scale
from training.experiments.trial import Trial, train_trial
from training.progress import Progress

__all__ = ["DRIFT", "Judged", "Stream", "told"]

_TRUSTED = {"mnist": 2500, "house": 400}
_KNOWN = tuple(range(9))
_SOURCES = 100
_BEFORE = 6000
_AFTER = 12_000
_POOL = 4000
_DEGREES = 60
_PER_DEGREE = 100
_LIST = 100
"""Records judged at once: alarms are looked for after each list."""

_FIRST_YEARS = 2007
_STREAMS = {"small": 20, "paper": 100}
_WATCHED: tuple[Watched, ...] = ("p_values", "labels", "refusals")


@dataclass(frozen=True)
class Judged:
    """Samples as a guard judged them: p-values (n,), nan for an unknown label, and labels (n,)."""

    p: NDArray[np.float64]
    labels: NDArray[np.int64] | NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> Judged:
        """Some of them, in that order."""
        return Judged(self.p[rows], self.labels[rows])


@dataclass(frozen=True)
class Stream:
    """`samples` in order, from `sources` (n,); the data change at record `change`."""

    samples: Judged
    sources: NDArray[np.int64]
    change: int

    def verdicts(self, alpha: float) -> list[Verdict]:
        """As a guard with that α gives them."""
        rows = zip(self.samples.p.tolist(), self.samples.labels.tolist(), self.sources.tolist(), strict=True)
        return [_verdict(p, label, f"s{source}", alpha) for p, label, source in rows]


def told(expected: Expected, stream: Stream) -> dict[Watched, int]:
    """After which record each of the things that are watched first was alarmed."""
    drift, found = Drift(expected), dict[Watched, int]()
    verdicts = stream.verdicts(expected.alpha)
    for start in range(0, len(verdicts), _LIST):
        drift.add(verdicts[start : start + _LIST])
        for name in _WATCHED:
            if name not in found and drift.alarms(name):
                found[name] = start + _LIST
    return found


def _verdict(p: float, label: float, source: str, alpha: float) -> Verdict:
    if np.isnan(p):
        return Verdict(Status.QUARANTINED, HoldReason.UNKNOWN_LABEL, source=source)
    status = Status.QUARANTINED if p <= alpha else Status.CLEAN
    return Verdict(status, p_value=p, source=source, label=label)


def _run(cases: Sequence[Case], seed: int, progress: Progress) -> Iterator[Row]:
    rng = np.random.default_rng(seed)
    expected, streams = _GROUNDS[cases[0].group](seed, progress)
    for case in cases:
        runs = [streams[case.name](rng) for _ in range(int(str(case.settings["streams"])))]
        yield _row([(stream, told(expected, stream)) for stream in runs])


def _row(runs: Sequence[tuple[Stream, dict[Watched, int]]]) -> Row:
    early = [any(at <= stream.change for at in found.values()) for stream, found in runs]
    delays = [min(found.values()) - stream.change if found else np.inf for stream, found in runs]
    later = np.array([delay for delay, before in zip(delays, early, strict=True) if not before])
    by: Row = {name: float(np.mean([name in found for _, found in runs])) for name in _WATCHED}
    return {
        "streams": len(runs),
        "records_before": runs[0][0].change,
        "records_after": len(runs[0][0].sources) - runs[0][0].change,
        "alarmed_before": float(np.mean(early)),
        "alarmed_after": float(np.isfinite(later).mean()) if len(later) else None,
        "records": _quantiles(later),
        "by": by,
    }


def _quantiles(delays: NDArray[np.float64]) -> Row:
    names = {"q05": 0.05, "median": 0.5, "q95": 0.95}
    if not len(delays):
        return dict.fromkeys(names)
    found = {name: float(np.quantile(delays, q, method="higher")) for name, q in names.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


Draw = Callable[[np.random.Generator], Stream]


def _digits(seed: int, progress: Progress) -> tuple[Expected, dict[str, Draw]]:
    whole = load_dataset("mnist")
    known = select_classes(whole, _KNOWN)
    order = np.random.default_rng(seed).permutation(len(known.y))
    trusted, fresh, turned, base = np.split(order, np.cumsum([_TRUSTED["mnist"], _POOL, _POOL])[:3])
    trial = _trained(known, np.sort(trusted), seed, progress)
    clean = _judged(trial, known, fresh)
    rows = AttackerRows(known.x[base[: 2 * _POOL]], known.y[base[: 2 * _POOL]], known.spec)
    poison = flip_random(rows, _POOL, np.random.default_rng(seed))
    flipped = Judged(trial.judge(poison.x, poison.y).p_values, poison.y)
    unknown = Judged(np.array([np.nan]), np.array([len(_KNOWN)]))
    changed: dict[str, Callable[[np.random.Generator], tuple[Judged, NDArray[np.int64]]]] = {
        "no change": lambda rng: (_drawn(clean, _AFTER, rng), rng.integers(0, _SOURCES, _AFTER)),
        "few sources attack": partial(_attack, clean, flipped),
        "rotated slowly": partial(_rotating, _rotations(trial, known, turned)),
        "a new class": partial(_new_class, clean, unknown),
    }
    expected = expected_of(trial.fusion, known.spec.label, "mnist")
    return expected, {name: partial(_after_clean, clean, change) for name, change in changed.items()}


def _after_clean(
    clean: Judged,
    change: Callable[[np.random.Generator], tuple[Judged, NDArray[np.int64]]],
    rng: np.random.Generator,
) -> Stream:
    before, (after, sources) = _drawn(clean, _BEFORE, rng), change(rng)
    return Stream(
        Judged(np.concatenate([before.p, after.p]), np.concatenate([before.labels, after.labels])),
        np.concatenate([rng.integers(0, _SOURCES, _BEFORE), sources]),
        _BEFORE,
    )


def _attack(clean: Judged, flipped: Judged, rng: np.random.Generator) -> tuple[Judged, NDArray[np.int64]]:
    """Five sources send half of all records, half of them with a wrong label."""
    sources = np.where(rng.random(_AFTER) < 0.5, rng.integers(0, 5, _AFTER), rng.integers(5, _SOURCES, _AFTER))
    wrong = (sources < 5) & (rng.random(_AFTER) < 0.5)
    honest, poison = _drawn(clean, _AFTER, rng), _drawn(flipped, _AFTER, rng)
    return Judged(np.where(wrong, poison.p, honest.p), np.where(wrong, poison.labels, honest.labels)), sources


def _rotating(by_degree: Sequence[Judged], rng: np.random.Generator) -> tuple[Judged, NDArray[np.int64]]:
    """One degree more every hundred records, of all sources."""
    parts = [
        _drawn(by_degree[min(record // _PER_DEGREE, _DEGREES)], _PER_DEGREE, rng)
        for record in range(0, _AFTER, _PER_DEGREE)
    ]
    whole = Judged(np.concatenate([part.p for part in parts]), np.concatenate([part.labels for part in parts]))
    return whole, rng.integers(0, _SOURCES, _AFTER)


def _new_class(clean: Judged, unknown: Judged, rng: np.random.Generator) -> tuple[Judged, NDArray[np.int64]]:
    """A tenth of what all sources send has a label that the trusted rows never held."""
    new, old = rng.random(_AFTER) < 0.1, _drawn(clean, _AFTER, rng)
    samples = Judged(np.where(new, unknown.p, old.p), np.where(new, unknown.labels, old.labels))
    return samples, rng.integers(0, _SOURCES, _AFTER)


def _rotations(trial: Trial, dataset: Dataset, rows: NDArray[np.int64]) -> list[Judged]:
    """For each degree its share of `rows`, turned about the middle."""
    parts = np.array_split(rows, _DEGREES + 1)
    found = []
    for degree, part in enumerate(parts):
        turned = rotate(dataset.x[part], degree, axes=(2, 1), reshape=False, order=1)
        found.append(Judged(trial.judge(turned, dataset.y[part]).p_values, dataset.y[part]))
    return found


def _houses(seed: int, progress: Progress) -> tuple[Expected, dict[str, Draw]]:
    dataset = load_dataset("house")
    years = np.round(2006 + 4 * dataset.x[:, _column(dataset, "YrSold")]).astype(int)
    first = np.random.default_rng(seed).permutation(np.flatnonzero(years <= _FIRST_YEARS))
    trusted, rest = np.split(first, [_TRUSTED["house"]])
    trial = _trained(dataset, np.sort(trusted), seed, progress)
    later = np.flatnonzero(years > _FIRST_YEARS)
    judged = _judged(trial, dataset, np.concatenate([rest, later]))
    expected = expected_of(trial.fusion, dataset.spec.label, "house")
    return expected, {"houses by year of sale": partial(_by_year, judged, years[later], len(rest))}


def _by_year(judged: Judged, years: NDArray[np.int64], before: int, rng: np.random.Generator) -> Stream:
    """Each house once and from a source of its own; the order within the time before, and within a year, is drawn."""
    later = before + np.argsort(years + rng.random(len(years)))
    order = np.concatenate([rng.permutation(before), later])
    return Stream(judged.take(order), np.arange(len(order)), before)


def _column(dataset: Dataset, name: str) -> int:
    return [column.name for column in cast("TableInput", dataset.spec.input).columns].index(name)


def _trained(dataset: Dataset, rows: NDArray[np.int64], seed: int, progress: Progress) -> Trial:
    return train_trial(dataset.x[rows], dataset.y[rows], dataset.spec, "fast", seed, progress)


def _judged(trial: Trial, dataset: Dataset, rows: NDArray[np.int64]) -> Judged:
    return Judged(trial.judge(dataset.x[rows], dataset.y[rows]).p_values, dataset.y[rows])


def _drawn(pool: Judged, count: int, rng: np.random.Generator) -> Judged:
    return pool.take(rng.integers(0, len(pool.p), count))


def _summarise(rows: Sequence[Row]) -> Row:
    """Means over the seeds; the median of the medians, where most streams were alarmed."""
    medians = [row["records"]["median"] for row in rows if isinstance(row["records"], dict)]
    known = [float(str(median)) for median in medians if median is not None]
    shares: Row = {name: _mean([row[name] for row in rows]) for name in ("alarmed_before", "alarmed_after")}
    by: Row = {name: _mean([row["by"][name] for row in rows if isinstance(row["by"], dict)]) for name in _WATCHED}
    return {**shares, "by": by, "median_records": float(np.median(known)) if known else None, "reached": len(known)}


def _mean(values: Sequence[object]) -> float | None:
    known = [float(str(value)) for value in values if value is not None]
    return float(np.mean(known)) if known else None


_GROUNDS = {"mnist": _digits, "house": _houses}


def _cases(scale: Scale) -> tuple[Case, ...]:
    names = {
        "mnist": ("no change", "few sources attack", "rotated slowly", "a new class"),
        "house": ("houses by year of sale",),
    }
    return tuple(
        Case(
            name,
            {"data": data, "trusted": _TRUSTED[data], "level": LEVEL, "streams": _STREAMS[scale]},
            (__name__,),
            data,
        )
        for data, own in names.items()
        for name in own
    )


DRIFT = Experiment(
    name="drift",
    figure="records until a change of the data of all sources is told; alarms without one, and under an attack of few",
    cases=_cases,
    seeds={"small": 3, "paper": 10},
    run=_run,
    summarise=_summarise,
)
"""A hundred sources; `records` are counted from the change on, `alarmed_before` are false alarms."""
