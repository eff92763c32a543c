"""The one interface of all methods of cleansing: neither clean rows nor a rate of poison are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from guard.spec import InputSpec
from training.progress import Progress
from training.rows import Rows

__all__ = ["Cleanser", "Cleansing", "RunCleansing"]


@dataclass(frozen=True)
class Cleansing:
    """What a method makes of n rows.

    `score`: finite float64 (n,), higher is more suspicious, on the method's own scale. `suspected`: bool (n,).
    `suggested`: int64 (n,), the class that a model of the rows that are not suspected reads each as. `network`: that
    model, (batch, …) → logits (batch, classes). `let_go`: bool (n,), rows that stood out and were not confirmed; None
    for a method that confirms nothing.
    """

    score: NDArray[np.float64]
    suspected: NDArray[np.bool_]
    suggested: NDArray[np.int64]
    network: nn.Module
    let_go: NDArray[np.bool_] | None = None


class RunCleansing(Protocol):
    """The form of `Cleanser.run`."""

    def __call__(self, rows: Rows, fold: NDArray[np.int8], seed: int, progress: Progress | None = None) -> Cleansing:
        """Judges all rows. `fold`: int8 (n,), by content: rows that are alike share one. Same seed, same outcome."""
        ...


@dataclass(frozen=True)
class Cleanser:
    """A method: its name, how it tells poison, what that finds and what it cannot see, each in a few words.

    `applies` answers from the specification alone.
    """

    name: str
    description: str
    finds: str
    blind_to: str
    applies: Callable[[InputSpec], bool]
    run: RunCleansing
