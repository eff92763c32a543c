"""The one interface of all baseline defences: from rows that may hold poison to a suspicion for each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guard.spec import InputSpec
from training.attacks.attack import Inputs, Labels

__all__ = ["ASSUMED_SHARE", "Defence", "Evidence", "Ranking", "assumed_share"]

ASSUMED_SHARE = 1 / 6
"""|Sp| / |So| that a defence reckons with where nobody tells it: the paper's default, |Sp| = 0.2 · |Sc|."""


@dataclass(frozen=True)
class Evidence:
    """What a defence is given, encoded as `guard.spec` says.

    `x`, `y`: So, the rows to be judged, poison among them. `trusted_x`, `trusted_y`: St, known to be clean, none of
    them in So. `clean_x`, `clean_y`: further clean rows that are only scored, for a caller to set the threshold by; no
    defence learns from them. `poison_share`: |Sp| / |So| where the defence is told it, in [0, 1).
    """

    x: Inputs
    y: Labels
    trusted_x: Inputs
    trusted_y: Labels
    clean_x: Inputs
    clean_y: Labels
    spec: InputSpec
    seed: int
    poison_share: float | None = None


@dataclass(frozen=True)
class Ranking:
    """What a defence makes of the evidence.

    `suspicion`: finite float64 (n,), one for each row of So, higher is more suspicious. `clean_suspicion`: (m,) of the
    further clean rows, on the same scale; rows of So that a model was fitted to may score a little lower than these.
    `flagged`: bool (n,), the published decision at the published settings.
    """

    suspicion: NDArray[np.float64]
    clean_suspicion: NDArray[np.float64]
    flagged: NDArray[np.bool_]


@dataclass(frozen=True)
class Defence:
    """A kind of defence: its name in reports, where it applies, and what it needs.

    `run` judges all rows of the evidence at once; the same evidence makes the same bytes, and rows in another order the
    same suspicions in that order, up to ties. `applies` answers from the specification alone. `needs` says in one
    sentence what the defender must have.
    """

    name: str
    description: str
    needs: str
    applies: Callable[[InputSpec], bool]
    run: Callable[[Evidence], Ranking]


def assumed_share(evidence: Evidence) -> float:
    """The share of poison to reckon with: what the defence is told, else `ASSUMED_SHARE`."""
    return ASSUMED_SHARE if evidence.poison_share is None else evidence.poison_share
