"""What an experiment is: cases × seeds, one row of figures for each, and a summary of the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from training.progress import Progress

__all__ = ["Case", "Experiment", "Row", "Scale", "Summarise"]

Scale = Literal["small", "full"]
"""`small` fits a machine of two cores; `full` takes more seeds, or the longer training."""

Row = dict[str, JsonValue]
"""Named figures of one case at one seed."""

Summarise = Callable[[Sequence[Row]], Row]
"""From the rows of one case to what stands above them."""


@dataclass(frozen=True)
class Case:
    """One setting of an experiment: a name, and everything that the run depends on beside the seed."""

    name: str
    settings: Row


@dataclass(frozen=True)
class Experiment:
    """One question that is answered by running. It can be pickled: its functions are module-level ones.

    `figure`: the question, in words. `cases`: the settings at a scale. `seeds`: how many, by scale. `run(case, seed,
    progress)` gives one row. `summarise`: the figures of one case over all seeds. `timed`: it measures seconds, so that
    nothing may run beside it.
    """

    name: str
    figure: str
    cases: Callable[[Scale], tuple[Case, ...]]
    seeds: dict[Scale, int]
    run: Callable[[Case, int, Progress], Row]
    summarise: Summarise
    timed: bool = False
