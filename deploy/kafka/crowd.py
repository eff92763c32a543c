"""The crowd of the demo: real rows under the names of contributors, at first all honest, then more and more hostile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.demo.scenario import HONEST, Entry, Scenario

__all__ = ["PHASES", "Crowd", "Phase", "phase_at"]


@dataclass(frozen=True)
class Phase:
    """A stretch of the demo, the share of it that it takes, and the share of its records that are poison or junk."""

    name: str
    length: float
    hostile: float


PHASES = (
    Phase("everybody is honest", 0.25, 0.0),
    Phase("some turn hostile", 0.25, 0.15),
    Phase("they flood the topic", 0.3, 0.5),
    Phase("they give up", 0.2, 0.02),
)


def phase_at(done: float) -> Phase:
    """The phase when the share `done` of the demo is over."""
    for phase in PHASES:
        done -= phase.length
        if done < 0:
            return phase
    return PHASES[-1]


class Crowd:
    """Draws entries of a scenario, again and again, in the mixture that is asked for."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._honest = self._endless([entry for entry in scenario.stream if entry.kind == HONEST])
        self._hostile = self._endless([entry for entry in scenario.stream if entry.kind != HONEST])

    def draw(self, count: int, hostile: float) -> list[Entry]:
        """`count` entries, of which about the share `hostile` is poison or junk."""
        return [next(self._hostile if bad else self._honest) for bad in self._rng.random(count) < hostile]

    def _endless(self, entries: list[Entry]) -> Iterator[Entry]:
        while True:
            for place in self._rng.permutation(len(entries)).tolist():
                yield entries[place]
