"""What an experiment is: cases × seeds, one row of figures for each, and a summary of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pydantic import JsonValue

from training.progress import Progress

__all__ = ["Case", "Experiment", "Row", "RunCases", "Scale", "Summarise", "one_by_one"]

Scale = Literal["small", "paper"]
"""`small` fits a machine of two cores; `paper` has the paper's sizes and more seeds, and wants a GPU."""

Row = dict[str, JsonValue]
"""Named figures of one case at one seed."""

Summarise = Callable[[Sequence[Row]], Row]
"""From the rows of one case to what stands above them."""


@dataclass(frozen=True)
class Case:
    """One setting of an experiment: a name, and everything that the run depends on beside the seed.

    `sources`: the modules whose code decides the figures, with all that they import (`training.experiments.sources`).
    `group`: cases of one group share what is trained for them, so that they are run one after the other by one process;
    a case without a group stands alone.
    """

    name: str
    settings: Row
    sources: tuple[str, ...]
    group: str = ""


RunCases = Callable[[Sequence[Case], int, Progress], Iterator[Row]]
"""(cases of one group, seed, progress) → one row for each, in their order, as soon as it is known."""


@dataclass(frozen=True)
class Experiment:
    """One question that is answered by running. It can be pickled: its functions are module-level ones.

    `figure`: the question, in words. `cases`: the settings at a scale. `seeds`: how many, by scale. `summarise`: the
    figures of one case over all seeds. `timed`: it measures seconds, so that nothing may run beside it.
    """

    name: str
    figure: str
    cases: Callable[[Scale], tuple[Case, ...]]
    seeds: dict[Scale, int]
    run: RunCases
    summarise: Summarise
    timed: bool = False


def one_by_one(run: Callable[[Case, int, Progress], Row]) -> RunCases:
    """For experiments whose cases share nothing: `run(case, seed, progress)` gives one row."""
    return partial(_one_by_one, run)


def _one_by_one(
    run: Callable[[Case, int, Progress], Row], cases: Sequence[Case], seed: int, progress: Progress
) -> Iterator[Row]:
    for case in cases:
        yield run(case, seed, progress)
